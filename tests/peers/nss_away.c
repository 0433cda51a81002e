/* A name service (nss(5)) whose server is away: each question about a user takes as long as its patience, and finds nobody. */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <unistd.h>

#define PATIENCE 60

static enum nss_status nobody(int *error) {
    sleep(PATIENCE);
    *error = ENOENT;
    return NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_away_getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size, int *error) {
    (void)uid, (void)user, (void)buffer, (void)size;
    return nobody(error);
}

enum nss_status _nss_away_getpwnam_r(const char *name, struct passwd *user, char *buffer, size_t size, int *error) {
    (void)name, (void)user, (void)buffer, (void)size;
    return nobody(error);
}
