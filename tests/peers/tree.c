/*
 * Makes a tree of processes, as a program that somebody runs by sudo might, and stays. Which tree, its argument says; what a process does is read
 * from left to right, and every process ends with a full stop, at which it stays for ten minutes:
 *
 *   f…    a child, which does what follows up to its full stop
 *   o…    the same without a parent: the one in between is gone
 *   n1…   a child of the user's that runs sudo for the next program of this kind (here /opt/tree/1)
 *   s     a session of its own
 *   u     becomes the user; as do, with something of root's kept aside:
 *   e       only as its effective user
 *   g       but for a group
 *   c       but for its capabilities
 *   l     leaves its control group for the one above the run's
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER 1001

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static void stay(void)
{
    sleep(600);
    _exit(0);
}

static void become(char how)
{
    gid_t user = USER;
    if (setgroups(1, &user))
        fail("setgroups");
    if (how == 'c' && prctl(PR_SET_KEEPCAPS, 1))
        fail("prctl");
    if (how != 'e' && setresgid(USER, USER, how == 'g' ? 0 : USER))
        fail("setresgid");
    if (setresuid(how == 'e' ? -1 : USER, USER, how == 'e' ? -1 : USER))
        fail("setresuid");
}

/* To the group in which the run's own was made. */
static void leave_group(void)
{
    char line[512], path[600];
    FILE *groups = fopen("/proc/self/cgroup", "r");
    while (groups && fgets(line, sizeof line, groups)) {
        char *group = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
        char *run = group ? strstr(group, "/curfew-run-") : NULL;
        if (!run)
            continue;
        *run = 0;
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cgroup.procs", group);
        int procs = open(path, O_WRONLY);
        if (procs < 0 || write(procs, "0", 1) != 1)
            fail(path);
        close(procs);
    }
    if (groups)
        fclose(groups);
}

/* Behind the full stop that ends what begins here. */
static const char *behind(const char *plan)
{
    for (int open = 1; open > 0 && *plan; plan++)
        open += *plan == 'f' || *plan == 'o' || *plan == 'n' ? 1 : *plan == '.' ? -1 : 0;
    return plan;
}

static void run_sudo(const char *plan)
{
    char program[] = "/opt/tree/?", rest[256];
    program[10] = plan[0];
    snprintf(rest, sizeof rest, "%.*s", (int)(behind(plan + 1) - plan - 1), plan + 1);
    if (getuid() == 0)
        become('u');
    execlp("sudo", "sudo", "-n", program, rest, (char *)NULL);
    fail("sudo");
}

static void grow(const char *plan)
{
    for (; *plan && *plan != '.'; plan++) {
        pid_t pid = 0;
        switch (*plan) {
        case 's':
            setsid();
            break;
        case 'l':
            leave_group();
            break;
        case 'u':
        case 'e':
        case 'g':
        case 'c':
            become(*plan);
            break;
        case 'f':
        case 'o':
        case 'n':
            if ((pid = fork()) < 0)
                fail("fork");
            if (pid == 0) {
                if (*plan == 'o' && fork() != 0)
                    _exit(0);
                if (*plan == 'n')
                    run_sudo(plan + 1);
                grow(plan + 1);
                stay();
            }
            if (*plan == 'o')
                waitpid(pid, NULL, 0);
            plan = behind(plan + 1) - 1;
            break;
        }
    }
}

int main(int count, char **words)
{
    if (count != 2)
        return 2;
    grow(words[1]);
    stay();
}
