/*
 * The floor's module: the least that any PAM module with an agent behind it could do.
 *
 * Its account hook connects to a Unix socket (its only argument), sends one JSON line that names the user, the
 * service and the remote host, waits for one line and permits if that line says so. It has no deadline, checks
 * no peer and escapes nothing: it is a yardstick, never to be used on a host that matters.
 */
#define PAM_SM_ACCOUNT
#include <security/pam_modules.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *item(pam_handle_t *pam, int which)
{
    const void *text = NULL;
    return pam_get_item(pam, which, &text) == PAM_SUCCESS && text != NULL ? text : "";
}

/* One line out, one line back; true when the answer is a permit. */
static int ask(int agent, const char *question, size_t length)
{
    char answer[1024];
    size_t used = 0;
    if (write(agent, question, length) != (ssize_t)length)
        return 0;
    while (used < sizeof answer - 1) {
        ssize_t got = read(agent, answer + used, sizeof answer - 1 - used);
        if (got <= 0)
            return 0;
        used += (size_t)got;
        if (answer[used - 1] == '\n')
            break;
    }
    answer[used] = '\0';
    return strstr(answer, "\"permit\"") != NULL;
}

int pam_sm_acct_mgmt(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char question[1024];
    (void)flags;
    if (argc != 1 || strlen(argv[0]) >= sizeof address.sun_path)
        return PAM_SERVICE_ERR;
    strcpy(address.sun_path, argv[0]);

    int length = snprintf(question, sizeof question, "{\"user\":\"%s\",\"service\":\"%s\",\"rhost\":\"%s\"}\n",
                          item(pam, PAM_USER), item(pam, PAM_SERVICE), item(pam, PAM_RHOST));
    if (length < 0 || (size_t)length >= sizeof question)
        return PAM_SERVICE_ERR;

    int agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (agent < 0)
        return PAM_AUTHINFO_UNAVAIL;
    int permitted = connect(agent, (struct sockaddr *)&address, sizeof address) == 0
                    && ask(agent, question, (size_t)length);
    close(agent);
    return permitted ? PAM_SUCCESS : PAM_PERM_DENIED;
}
