/*
 * error.c - fills struct mr_error.
 *
 * Everything is fixed-size and nothing allocates, so that running out of memory is reported the
 * same way as any other failure. Texts that do not fit are cut at a UTF-8 boundary and end in
 * "...", because messages carry names and values of users in any script and go into JSON reports
 * that must stay valid.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strerror_r that returns the text */
#endif
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Puts "..." at the end of a text that filled its buffer, without splitting a code point. */
static void cut(char *text, size_t capacity)
{
    size_t at = capacity - 4;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    memcpy(text + at, "...", 4);
}

static void put(char *text, size_t capacity, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static void put(char *text, size_t capacity, const char *format, va_list args)
{
    int n = vsnprintf(text, capacity, format, args);
    if (n < 0)
        text[0] = '\0';
    else if ((size_t)n >= capacity)
        cut(text, capacity);
}

static enum mr_status set(struct mr_error *err, enum mr_status status, enum mr_error_class cls,
                          const char *format, va_list args) __attribute__((format(printf, 4, 0)));
static enum mr_status set(struct mr_error *err, enum mr_status status, enum mr_error_class cls,
                          const char *format, va_list args)
{
    if (!err)
        return status;
    err->status = status;
    err->cls = cls;
    put(err->message, sizeof err->message, format, args);
    err->where[0] = '\0';
    err->hint[0] = '\0';
    return status;
}

enum mr_status mr_error_set(struct mr_error *err, enum mr_status status, enum mr_error_class cls,
                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(err, status, cls, format, args);
    va_end(args);
    return status;
}

enum mr_status mr_error_config(struct mr_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(err, MR_CONFIG, MR_CLASS_CONFIG, format, args);
    va_end(args);
    return MR_CONFIG;
}

enum mr_status mr_error_data(struct mr_error *err, enum mr_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(err, status, MR_CLASS_DATA, format, args);
    va_end(args);
    return status;
}

enum mr_status mr_error_internal(struct mr_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(err, MR_INTERNAL, MR_CLASS_FATAL, format, args);
    va_end(args);
    return MR_INTERNAL;
}

enum mr_status mr_error_nomem(struct mr_error *err)
{
    mr_error_set(err, MR_NOMEM, MR_CLASS_TRANSIENT, "out of memory");
    mr_error_hint(
        err, "raise resources.memory where the machine has more; else lower resources.parallelism");
    return MR_NOMEM;
}

enum mr_status mr_error_cancelled(struct mr_error *err)
{
    return mr_error_set(err, MR_CANCELLED, MR_CLASS_FATAL, "cancelled");
}

enum mr_status mr_error_errno(struct mr_error *err, enum mr_status status, int errnum,
                              const char *format, ...)
{
    if (!err)
        return errnum == ENOMEM ? MR_NOMEM : status;
    va_list args;
    va_start(args, format);
    set(err, errnum == ENOMEM ? MR_NOMEM : status, MR_CLASS_CONFIG, format, args);
    va_end(args);

    char reason[160];
    /* The GNU strerror_r may return a constant instead of filling the buffer. */
    const char *text = strerror_r(errnum, reason, sizeof reason);
    size_t used = strlen(err->message);
    size_t room = sizeof err->message - used;
    if (snprintf(err->message + used, room, ": %s", text) >= (int)room)
        cut(err->message, sizeof err->message);

    switch (errnum) {
    case EINTR:
    case EAGAIN:
    case EBUSY:
    case ENOMEM:
    case ENFILE:
    case EMFILE:
    case ETIMEDOUT:
    case ECONNRESET:
    case ECONNREFUSED:
    case EPIPE:
        err->cls = MR_CLASS_TRANSIENT;
        break;
    case EIO:
        err->cls = MR_CLASS_FATAL;
        break;
    case ENOSPC:
        mr_error_hint(err, "the device is full: free space or choose another directory");
        break;
    case EDQUOT:
        mr_error_hint(err, "the disk quota is used up: free space or raise the quota");
        break;
    case EACCES:
    case EPERM:
        mr_error_hint(err, "check the owner and the permissions of the path");
        break;
    default:
        break;
    }
    return err->status;
}

void mr_error_where(struct mr_error *err, const char *format, ...)
{
    if (!err)
        return;
    va_list args;
    va_start(args, format);
    put(err->where, sizeof err->where, format, args);
    va_end(args);
}

void mr_error_hint(struct mr_error *err, const char *format, ...)
{
    if (!err)
        return;
    va_list args;
    va_start(args, format);
    put(err->hint, sizeof err->hint, format, args);
    va_end(args);
}

enum mr_status mr_error_of_sink(enum mr_status status, struct mr_error *err)
{
    if (status != MR_SOURCE)
        return status;
    if (err)
        err->status = MR_SINK;
    return MR_SINK;
}

void mr_error_prefix(struct mr_error *err, const char *format, ...)
{
    if (!err)
        return;
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    put(err->message, sizeof err->message, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    size_t room = sizeof err->message - used;
    if (snprintf(err->message + used, room, ": %s", old) >= (int)room)
        cut(err->message, sizeof err->message);
}

int mr_status_exit_code(enum mr_status status)
{
    switch (status) {
    case MR_OK:
        return 0;
    case MR_USAGE:
        return 2;
    case MR_CONFIG:
        return 3;
    case MR_CREDENTIALS:
        return 4;
    case MR_SOURCE:
        return 5;
    case MR_SINK:
        return 6;
    case MR_VALIDATION:
        return 7;
    case MR_LIMIT:
    case MR_NOMEM:
        return 8;
    case MR_BUSY:
        return 9;
    case MR_INTERNAL:
        return 10;
    case MR_CANCELLED:
        return 130;
    }
    return 10;
}

const char *mr_status_name(enum mr_status status)
{
    switch (status) {
    case MR_OK:
        return "ok";
    case MR_USAGE:
        return "usage";
    case MR_CONFIG:
        return "config";
    case MR_CREDENTIALS:
        return "credentials";
    case MR_SOURCE:
        return "source";
    case MR_SINK:
        return "sink";
    case MR_VALIDATION:
        return "validation";
    case MR_LIMIT:
        return "limit";
    case MR_BUSY:
        return "busy";
    case MR_INTERNAL:
        return "internal";
    case MR_CANCELLED:
        return "cancelled";
    case MR_NOMEM:
        return "memory";
    }
    return "internal";
}

const char *mr_error_class_name(enum mr_error_class cls)
{
    switch (cls) {
    case MR_CLASS_CONFIG:
        return "config";
    case MR_CLASS_DATA:
        return "data";
    case MR_CLASS_TRANSIENT:
        return "transient";
    case MR_CLASS_UNKNOWN:
        return "unknown";
    case MR_CLASS_FATAL:
        return "fatal";
    case MR_CLASS_REFUSED:
        return "refused";
    case MR_CLASS_SUPERSEDED:
        return "superseded";
    }
    return "fatal";
}
