/*
 * Times PAM account checks: one fresh transaction after another, several peers in turn.
 *
 * A peer is a folder under CONFDIR with a file `sshd` (its one account line) and an empty file `other`, so that
 * every peer is asked as the same service, and nothing but its own line is loaded. Each sample is the time from
 * before pam_start to after pam_end. A round runs one block of samples for each peer, and the order turns by one
 * from round to round, so that whatever else the machine does falls on all of them.
 *
 * `loop` takes the samples in one process: a module that stays mapped is loaded once. `fork` takes each sample in
 * a child of its own, as sshd does: loading and linking the module is in every one of them.
 *
 * Usage: pam_client loop|fork CONFDIR USER ROUNDS WARMUP PEER:SAMPLES...
 * Output: a line a block, `ROUND PEER NS NS NS ...`, samples in the order they were taken. A check that does not
 * succeed ends the run with exit code 1: a denial would be timed as something it is not.
 */
#define _GNU_SOURCE
#include <security/pam_appl.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERVICE "sshd"
#define REMOTE_HOST "10.0.0.1"
#define TERMINAL "ssh"
#define MOST_PEERS 16

struct peer {
    const char *name;
    char confdir[512];
    long samples;
};

/* What a check yields; in memory that a forked child shares with its parent. */
struct outcome {
    int64_t nanoseconds;
    int code;
};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Takes every message and says nothing, as a client without a terminal would. */
static int say_nothing(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
    (void)messages;
    (void)data;
    *responses = calloc((size_t)count, sizeof **responses);
    return *responses != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
}

static struct outcome check(const struct peer *peer, const char *user)
{
    const struct pam_conv conversation = {say_nothing, NULL};
    pam_handle_t *pam = NULL;
    struct outcome outcome;
    int64_t start = now();

    outcome.code = pam_start_confdir(SERVICE, user, &conversation, peer->confdir, &pam);
    if (outcome.code == PAM_SUCCESS)
        outcome.code = pam_set_item(pam, PAM_RHOST, REMOTE_HOST);
    if (outcome.code == PAM_SUCCESS)
        outcome.code = pam_set_item(pam, PAM_TTY, TERMINAL);
    if (outcome.code == PAM_SUCCESS)
        outcome.code = pam_acct_mgmt(pam, 0);
    pam_end(pam, outcome.code);

    outcome.nanoseconds = now() - start;
    return outcome;
}

static struct outcome check_in_child(const struct peer *peer, const char *user, struct outcome *shared)
{
    int status = 0;
    pid_t child;
    shared->code = PAM_ABORT;
    child = fork();
    if (child == 0) {
        *shared = check(peer, user);
        _exit(0);
    }
    if (child < 0) {
        perror("fork");
        exit(1);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return *shared;
}

static void parse_peer(struct peer *peer, const char *confdir, char *text)
{
    char *colon = strchr(text, ':');
    if (colon == NULL || (peer->samples = atol(colon + 1)) < 1) {
        fprintf(stderr, "pam_client: %s: want PEER:SAMPLES\n", text);
        exit(2);
    }
    *colon = '\0';
    peer->name = text;
    snprintf(peer->confdir, sizeof peer->confdir, "%s/%s", confdir, text);
}

int main(int argc, char **argv)
{
    struct peer peers[MOST_PEERS];
    int count = argc - 6;
    if (count < 1 || count > MOST_PEERS || (strcmp(argv[1], "loop") != 0 && strcmp(argv[1], "fork") != 0)) {
        fprintf(stderr, "usage: pam_client loop|fork CONFDIR USER ROUNDS WARMUP PEER:SAMPLES...\n");
        return 2;
    }
    int forks = strcmp(argv[1], "fork") == 0;
    const char *user = argv[3];
    long rounds = atol(argv[4]);
    long warmup = atol(argv[5]);
    for (int i = 0; i < count; i++)
        parse_peer(&peers[i], argv[2], argv[6 + i]);

    struct outcome *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (long round = 0; round < rounds; round++) {
        for (int turn = 0; turn < count; turn++) {
            const struct peer *peer = &peers[(turn + round) % count];
            printf("%ld %s", round, peer->name);
            fflush(stdout);
            for (long i = -warmup; i < peer->samples; i++) {
                struct outcome outcome = forks ? check_in_child(peer, user, shared) : check(peer, user);
                if (outcome.code != PAM_SUCCESS) {
                    fprintf(stderr, "pam_client: %s, round %ld: the account check answered %d (%s)\n", peer->name,
                            round, outcome.code, pam_strerror(NULL, outcome.code));
                    return 1;
                }
                if (i >= 0)
                    printf(" %lld", (long long)outcome.nanoseconds);
            }
            putchar('\n');
        }
    }
    return 0;
}
