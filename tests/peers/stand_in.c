/*
 * Stands in for sshd and for sudo: makes the processes that they would make, and asks nobody. Who it is, its own name says.
 *
 *   sshd UID        A login: a session of its own that the kernel knows as the user's. It says "in" and waits; a line opens it, the end of
 *                   its input ends it. Opened, it has a shell of the user's, which leaves three programs running: one below it,
 *                   one that leaves the terminal's session, one that leaves its parent, too. Then it says "ready" and takes lines:
 *                   each is a command to run. The end of its input logs out; the three programs stay.
 *   sudo WORD…      A run of sudo, from a setuid copy: root's ids with the groups of whoever invoked it, it says "sudo PID" and stops, as at PAM's
 *                   questions. A SIGCONT opens it: it is run UID then, with the uid of root or, with -u, of www-data.
 *   run UID         What is run by sudo: three programs as above, and it says "ready". SIGUSR1 ends it and leaves the programs. It and each
 *                   branch that it grows take orders: a SIGUSR2 has them read one from /opt/curfew-model/order. A word of letters grows a
 *                   branch, which says "more PID": o leaves its parent, s has a session of its own, l leaves its control group for the one
 *                   above, and u becomes the user who logged in; so do e, g and c, which keep user ids, a group or capabilities
 *                   aside, and nothing else.
 *                   A line that begins with n has the user run the sudo that follows.
 *
 * All programs ignore HUP and TERM.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "/opt/curfew-model/"

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

static void run_sudo(char *line)
{
    char *words[32] = { strtok(line, " ") };
    for (int count = 1; count < 31 && words[count - 1]; count++)
        words[count] = strtok(NULL, " ");
    execv(FOLDER "sudo", words);
    fail("sudo");
}

static void shell(uid_t uid)
{
    char line[1024];
    signal(SIGCHLD, SIG_IGN);
    leave_programs(uid);
    become(uid);
    say("ready");
    while (read_line(line, sizeof line)) {
        if (split() == 0)
            run_sudo(line);
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

/* Asks PAM, as whoever answers sees it, and goes on as the command. */
static void sudo(const char *uid)
{
    if (setresuid(0, 0, 0))
        fail("setresuid");
    dprintf(STDOUT_FILENO, "sudo %d\n", getpid());
    raise(SIGSTOP);
    execl(FOLDER "run", "run", uid, (char *)NULL);
    fail("run");
}

static uid_t who_logged_in(void)
{
    unsigned uid;
    FILE *loginuid = fopen("/proc/self/loginuid", "r");
    if (!loginuid || fscanf(loginuid, "%u", &uid) != 1)
        fail("/proc/self/loginuid");
    fclose(loginuid);
    return uid;
}

/* Those of root come back with its user id at the next program. */
static void drop_capabilities(void)
{
    struct __user_cap_header_struct own = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
    if (syscall(SYS_capset, &own, none))
        fail("capset");
}

static void become_but_for(char kept, uid_t uid)
{
    if (kept == 'u') {
        become(uid);
        return;
    }
    if (setgroups(0, NULL) || (kept == 'c' && prctl(PR_SET_KEEPCAPS, 1)))
        fail("setgroups");
    if (setresgid(uid, uid, kept == 'g' ? 0 : uid))
        fail("setresgid");
    if (kept == 'e' ? setresuid(-1, uid, -1) : setresuid(uid, uid, uid))
        fail("setresuid");
    if (kept == 'e')
        drop_capabilities();
}

/* To the group in which the run's own was made. */
static void leave_group(void)
{
    char line[512], path[600];
    FILE *groups = fopen("/proc/self/cgroup", "r");
    while (groups && fgets(line, sizeof line, groups)) {
        char *group = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
        char *own = group ? strstr(group, "/curfew-run-") : NULL;
        if (!own)
            continue;
        *own = 0;
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cgroup.procs", group);
        int procs = open(path, O_WRONLY);
        if (procs < 0 || write(procs, "0", 1) != 1)
            fail(path);
        close(procs);
    }
    if (groups)
        fclose(groups);
}

/* Reads an order and does it: in a child, which comes back to take orders itself. */
static void obey(void)
{
    char order[128] = "";
    FILE *file = fopen(FOLDER "order", "r");
    if (!file || !fgets(order, sizeof order, file))
        fail(FOLDER "order");
    fclose(file);
    pid_t pid = split();
    if (pid != 0) {
        if (order[0] != 'n' && strchr(order, 'o'))
            waitpid(pid, NULL, 0);
        return;
    }
    if (order[0] == 'n') {
        if (getuid() == 0)
            become(who_logged_in());
        run_sudo(order + 1);
    }
    if (strchr(order, 'o') && split() != 0)
        _exit(0);
    if (strchr(order, 's'))
        setsid();
    if (strchr(order, 'l'))
        leave_group();
    const char *kept = strpbrk(order, "uegc");
    if (kept)
        become_but_for(*kept, who_logged_in());
    dprintf(STDOUT_FILENO, "more %d\n", getpid());
}

static void run(uid_t uid)
{
    sigset_t orders;
    sigemptyset(&orders);
    sigaddset(&orders, SIGUSR1);
    sigaddset(&orders, SIGUSR2);
    sigprocmask(SIG_BLOCK, &orders, NULL);
    signal(SIGCHLD, SIG_IGN);
    become(0);
    leave_programs(uid);
    become(uid);
    say("ready");
    for (int order = 0; sigwait(&orders, &order) == 0 && order == SIGUSR2;)
        obey();
}

int main(int count, char **words)
{
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    const char *name = strrchr(words[0], '/') ? strrchr(words[0], '/') + 1 : words[0];
    uid_t uid = count == 2 ? (uid_t)strtoul(words[1], NULL, 10) : 0;
    if (strcmp(name, "sudo") == 0)
        sudo(count > 1 && strcmp(words[1], "-u") == 0 ? "33" : "0");
    else if (strcmp(name, "run") == 0)
        run(uid);
    else if (count == 2)
        login(uid);
    return 0;
}
