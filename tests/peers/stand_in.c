/*
 * Stands in for sshd and for sudo: makes the processes that they would make, and asks nobody. Who it is, its own name says.
 *
 *   sshd UID        A login: a session of its own that the kernel knows as the user's. It says "in" and waits; a line opens it, the end of
 *                   its input ends it. Opened, it has a shell of the user's, which leaves three programs running: one below it,
 *                   one that leaves the terminal's session, one that leaves its parent, too. Then it says "ready" and takes lines:
 *                   each is a command to run. The end of its input logs out; the three programs stay.
 *   sudo WORD…      A run of sudo, from a setuid copy: as root, it says "sudo PID" and stops. A SIGCONT opens it, with three programs of
 *                   root's (with -u, of www-data's) as above, and it says "ready". SIGUSR2 has it start another and say "more", SIGUSR1 ends it
 *                   and leaves the programs.
 *
 * All programs ignore HUP and TERM.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WWW_DATA 33

static void say(const char *what)
{
    dprintf(STDOUT_FILENO, "%s\n", what);
}

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static void become(uid_t uid)
{
    if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
        fail("become");
}

static pid_t split(void)
{
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    return pid;
}

static void stay(void)
{
    for (;;)
        pause();
}

/* One program below, one in a session of its own, one without its parent; those who wait for them come back when they are there. */
static void leave_programs(uid_t uid)
{
    int there[2];
    if (pipe(there))
        fail("pipe");
    for (int kind = 0; kind < 3; kind++) {
        pid_t pid = split();
        if (pid == 0) {
            if (kind == 2 && split() != 0)
                _exit(0);
            if (kind > 0)
                setsid();
            become(uid);
            if (write(there[1], "", 1) != 1)
                _exit(1);
            stay();
        }
        char one;
        if (read(there[0], &one, 1) != 1)
            fail("read");
        if (kind == 2)
            waitpid(pid, NULL, 0);
    }
    close(there[0]);
    close(there[1]);
}

/* A line of the input, read byte by byte: what stands behind it is for others. */
static int read_line(char *line, size_t room)
{
    size_t used = 0;
    while (used + 1 < room && read(STDIN_FILENO, line + used, 1) == 1) {
        if (line[used] == '\n') {
            line[used] = 0;
            return 1;
        }
        used++;
    }
    return 0;
}

static void shell(uid_t uid)
{
    char line[1024];
    signal(SIGCHLD, SIG_IGN);
    leave_programs(uid);
    become(uid);
    say("ready");
    while (read_line(line, sizeof line)) {
        char *words[32] = { strtok(line, " ") };
        for (int count = 1; count < 31 && words[count - 1]; count++)
            words[count] = strtok(NULL, " ");
        if (split() == 0) {
            execv("/opt/curfew-model/sudo", words);
            fail("sudo");
        }
    }
    _exit(0);
}

static void login(uid_t uid)
{
    char line[16];
    setsid();
    FILE *loginuid = fopen("/proc/self/loginuid", "w");
    if (!loginuid || fprintf(loginuid, "%u", uid) < 0 || fclose(loginuid))
        fail("/proc/self/loginuid");
    say("in");
    if (!read_line(line, sizeof line))
        return;
    pid_t pid = split();
    if (pid == 0)
        shell(uid);
    waitpid(pid, NULL, 0);
}

static void run(uid_t uid)
{
    sigset_t orders;
    sigemptyset(&orders);
    sigaddset(&orders, SIGUSR1);
    sigaddset(&orders, SIGUSR2);
    sigprocmask(SIG_BLOCK, &orders, NULL);
    become(0);
    dprintf(STDOUT_FILENO, "sudo %d\n", getpid());
    raise(SIGSTOP);
    leave_programs(uid);
    say("ready");
    for (int order = 0; sigwait(&orders, &order) == 0 && order == SIGUSR2;) {
        if (split() == 0) {
            become(uid);
            stay();
        }
        say("more");
    }
}

int main(int count, char **words)
{
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    const char *name = strrchr(words[0], '/') ? strrchr(words[0], '/') + 1 : words[0];
    if (strcmp(name, "sudo") == 0)
        run(count > 1 && strcmp(words[1], "-u") == 0 ? WWW_DATA : 0);
    else if (count == 2)
        login((uid_t)strtoul(words[1], NULL, 10));
    return 0;
}
