/*
 * A directory of people, as a name service of the C library (nsswitch.conf(5): "passwd: files corp", "shadow: files corp").
 *
 * NAME@corp.example and CORP\NAME stand for NAME, in any case, of /etc/passwd or of the directory's own people in /etc/corp-passwd. As with real
 * directories, what it gives is the account under its own name.
 *
 * While /run/corp-away is there it knows nobody. While /run/corp-hangs is there it never answers curfewd, and everybody else as before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <shadow.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DOMAIN "@corp.example"
#define REALM "CORP\\"

static void wait_where_it_hangs(void)
{
    while (strcmp(program_invocation_short_name, "curfewd") == 0 && access("/run/corp-hangs", F_OK) == 0)
        sleep(1);
}

/* The name without its domain; none where it has none of ours. */
static const char *plain(const char *name, char *space, size_t size)
{
    size_t length = strlen(name), domain = strlen(DOMAIN);
    if (strncmp(name, REALM, strlen(REALM)) == 0)
        return name + strlen(REALM);
    if (length <= domain || length - domain >= size || strcasecmp(name + length - domain, DOMAIN) != 0)
        return NULL;
    memcpy(space, name, length - domain);
    space[length - domain] = 0;
    return space;
}

static enum nss_status find(const char *file, const char *name, uid_t uid, struct passwd *result, char *buffer,
                            size_t size, int *errnop)
{
    struct passwd *found = NULL;
    FILE *people = fopen(file, "re");
    int failed = 0;
    if (people == NULL)
        return NSS_STATUS_NOTFOUND;
    while ((failed = fgetpwent_r(people, result, buffer, size, &found)) == 0)
        if (name != NULL ? strcasecmp(found->pw_name, name) == 0 : found->pw_uid == uid)
            break;
    fclose(people);
    if (failed == 0)
        return NSS_STATUS_SUCCESS;
    *errnop = failed == ERANGE ? ERANGE : ENOENT;
    return failed == ERANGE ? NSS_STATUS_TRYAGAIN : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_corp_getpwnam_r(const char *name, struct passwd *result, char *buffer, size_t size, int *errnop)
{
    char space[256];
    const char *wanted = plain(name, space, sizeof space);
    enum nss_status status;
    wait_where_it_hangs();
    *errnop = ENOENT;
    if (access("/run/corp-away", F_OK) == 0)
        return NSS_STATUS_NOTFOUND;
    status = find("/etc/corp-passwd", wanted ? wanted : name, 0, result, buffer, size, errnop);
    if (status == NSS_STATUS_NOTFOUND && wanted)
        status = find("/etc/passwd", wanted, 0, result, buffer, size, errnop);
    return status;
}

enum nss_status _nss_corp_getpwuid_r(uid_t uid, struct passwd *result, char *buffer, size_t size, int *errnop)
{
    wait_where_it_hangs();
    *errnop = ENOENT;
    if (access("/run/corp-away", F_OK) == 0)
        return NSS_STATUS_NOTFOUND;
    return find("/etc/corp-passwd", NULL, uid, result, buffer, size, errnop);
}

/* Nobody of the directory has a password here. */
enum nss_status _nss_corp_getspnam_r(const char *name, struct spwd *result, char *buffer, size_t size, int *errnop)
{
    struct passwd account;
    enum nss_status status = _nss_corp_getpwnam_r(name, &account, buffer, size, errnop);
    if (status != NSS_STATUS_SUCCESS)
        return status;
    memset(result, -1, sizeof *result);
    result->sp_namp = account.pw_name;
    result->sp_pwdp = "*";
    return NSS_STATUS_SUCCESS;
}
