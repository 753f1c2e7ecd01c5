/*
 * failpoint.c - the body of MR_FAILPOINT in a test build.
 *
 * The environment is read once. "kill" is SIGKILL to ourselves: no handler, no flush, as a power
 * cut would leave it. The counter is process-wide by its purpose; a normal build compiles this file
 * to nothing.
 */
#include "base/failpoint.h"

#ifdef MR_ENABLE_FAILPOINTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct {
    char name[128];
    char action[16];
    int64_t at;
    const char *list;
} point;
static atomic_int_fast64_t passed;

/* "name[:N]=action" */
static void read_environment(void)
{
    point.list = getenv("MILLRACE_FAILPOINT_LIST");
    const char *text = getenv("MILLRACE_FAILPOINT");
    const char *equals = text ? strrchr(text, '=') : NULL;
    if (!equals)
        return;
    snprintf(point.action, sizeof point.action, "%s", equals + 1);
    snprintf(point.name, sizeof point.name, "%.*s", (int)(equals - text), text);
    point.at = 1;
    char *colon = strrchr(point.name, ':');
    if (colon) {
        point.at = strtoll(colon + 1, NULL, 10);
        *colon = '\0';
    }
}

static void list_name(const char *name)
{
    char line[160];
    int n = snprintf(line, sizeof line, "%s\n", name);
    int fd = open(point.list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    /* One write of a short line to an O_APPEND file is not torn by other threads. */
    ssize_t written = write(fd, line, (size_t)n);
    (void)written;
    close(fd);
}

enum mr_status mr_failpoint_hit(const char *name, struct mr_error *err)
{
    pthread_once(&once, read_environment);
    if (point.list)
        list_name(name);
    if (strcmp(name, point.name) != 0 || atomic_fetch_add(&passed, 1) + 1 != point.at)
        return MR_OK;
    if (strcmp(point.action, "kill") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(point.action, "stop") == 0) {
        kill(getpid(), SIGSTOP);
        return MR_OK;
    }
    if (strcmp(point.action, "enospc") == 0)
        return mr_error_errno(err, MR_SINK, ENOSPC, "failpoint %s", name);
    if (strcmp(point.action, "eio") == 0)
        return mr_error_errno(err, MR_SINK, EIO, "failpoint %s", name);
    if (strcmp(point.action, "unknown") == 0) /* the reply of what was done is lost */
        return mr_error_set(err, MR_SINK, MR_CLASS_UNKNOWN, "failpoint %s", name);
    return mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL, "failpoint %s", name);
}

#else
typedef int mr_failpoints_are_not_built_in;
#endif
