/*
 * failing_calls.c - a library for LD_PRELOAD: the Nth call of a kind fails.
 *
 * FAILING_CALLS="kind:N:errno[:on]" fails the Nth call of that kind, with :on all that follow too; kinds are write (with pwrite),
 * fsync (with fdatasync), rename (with renameat2), link, open, ftruncate and unlink. FAILING_CALLS_LIST=path appends a line for each
 * call: the kind and the path. Only calls on files below FAILING_CALLS_BELOW count, so that neither messages nor libraries are
 * hit. Where a call fails, nothing was done; a write of a full disk takes half of the bytes before (ENOSPC). Built by calls.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char wanted[32];
static long wanted_number, wanted_errno;
static bool from_then_on;
static const char *below, *list;
static atomic_long passed;

static void read_environment(void)
{
    char on[8] = "";
    const char *text = getenv("FAILING_CALLS");
    below = getenv("FAILING_CALLS_BELOW");
    list = getenv("FAILING_CALLS_LIST");
    if (text && sscanf(text, "%31[^:]:%ld:%ld:%7s", wanted, &wanted_number, &wanted_errno, on) < 3)
        abort();
    from_then_on = on[0] != '\0';
}

static void note(const char *kind, const char *path)
{
    char line[4200];
    int n = snprintf(line, sizeof line, "%s %s\n", kind, path);
    long fd = syscall(SYS_openat, AT_FDCWD, list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    syscall(SYS_write, fd, line, (size_t)n);
    syscall(SYS_close, fd);
}

/* Does this call fail? errno is set then. */
static bool fails(const char *kind, const char *path)
{
    int before = errno;
    pthread_once(&once, read_environment);
    if (!below || !path || strncmp(path, below, strlen(below)) != 0)
        return false;
    if (list)
        note(kind, path);
    errno = before;
    if (strcmp(kind, wanted) != 0)
        return false;
    long number = atomic_fetch_add(&passed, 1) + 1;
    if (from_then_on ? number < wanted_number : number != wanted_number)
        return false;
    errno = (int)wanted_errno;
    return true;
}

/* A path that is relative is one of the working directory, which the tests set. */
static bool path_fails(const char *kind, const char *path)
{
    char full[8200], here[4096];
    if (!path || path[0] == '/')
        return fails(kind, path);
    if (!getcwd(here, sizeof here))
        return false;
    snprintf(full, sizeof full, "%s/%s", here, path);
    return fails(kind, full);
}

static bool fd_fails(const char *kind, int fd)
{
    char name[64], path[4096];
    int before = errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, sizeof path - 1);
    errno = before;
    if (n <= 0)
        return false;
    path[n] = '\0';
    return fails(kind, path);
}

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* What fits on a disk that is then full is written. */
static size_t that_fits(size_t size)
{
    return errno == ENOSPC ? size / 2 : 0;
}

ssize_t write(int fd, const void *data, size_t size)
{
    if (!fd_fails("write", fd))
        return NEXT(write)(fd, data, size);
    size_t part = that_fits(size);
    int code = errno;
    if (part > 0)
        return NEXT(write)(fd, data, part);
    errno = code;
    return -1;
}

#define FAILING_PWRITE(name, offset_type)                                                          \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset)                        \
    {                                                                                              \
        if (!fd_fails("write", fd))                                                                \
            return NEXT(name)(fd, data, size, offset);                                             \
        return -1;                                                                                 \
    }
FAILING_PWRITE(pwrite, off_t)
FAILING_PWRITE(pwrite64, off64_t)

#define FAILING_FD(kind, name)                                                                     \
    int name(int fd)                                                                               \
    {                                                                                              \
        return fd_fails(kind, fd) ? -1 : NEXT(name)(fd);                                           \
    }
FAILING_FD("fsync", fsync)
FAILING_FD("fsync", fdatasync)

int ftruncate(int fd, off_t size)
{
    return fd_fails("ftruncate", fd) ? -1 : NEXT(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return fd_fails("ftruncate", fd) ? -1 : NEXT(ftruncate64)(fd, size);
}

int rename(const char *from, const char *to)
{
    return path_fails("rename", to) ? -1 : NEXT(rename)(from, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return path_fails("rename", to) ? -1 : NEXT(renameat2)(from_fd, from, to_fd, to, flags);
}

int link(const char *from, const char *to)
{
    return path_fails("link", to) ? -1 : NEXT(link)(from, to);
}

int unlink(const char *path)
{
    return path_fails("unlink", path) ? -1 : NEXT(unlink)(path);
}

#define FAILING_OPEN(name)                                                                         \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;             \
        va_end(arguments);                                                                         \
        return path_fails("open", path) ? -1 : NEXT(name)(path, flags, mode);                      \
    }
FAILING_OPEN(open)
FAILING_OPEN(open64)
