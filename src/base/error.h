/*
 * error.h - how a function says that it failed.
 *
 * A function that can fail returns `enum mr_status` and takes `struct mr_error *err` last. The leaf
 * that notices the failure fills the error and never logs; callers add where it happened and pass
 * it up; only run/ decides what to do and only run/ logs. Every buffer in the error is fixed, so
 * that "out of memory" can be reported without memory. `err` may be NULL where a caller does not
 * care.
 */
#ifndef MR_BASE_ERROR_H
#define MR_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* The kind of failure. Each maps to one exit code of the command (mr_status_exit_code). */
enum mr_status {
    MR_OK = 0,
    MR_USAGE,       /* the command line or an API call was wrong: exit 2 */
    MR_CONFIG,      /* the pipeline file, or what a catalog says of it, is wrong: exit 3 */
    MR_CREDENTIALS, /* no credentials, or refused ones: exit 4 */
    MR_SOURCE,      /* reading failed: exit 5 */
    MR_SINK,        /* writing failed: exit 6 */
    MR_VALIDATION,  /* rows broke a validation rule: exit 7 */
    MR_LIMIT,       /* a stated limit (memory, time, file count) was reached: exit 8 */
    MR_BUSY,        /* another run holds the pipeline's lease: exit 9 */
    MR_INTERNAL,    /* a defect of ours: exit 10 */
    MR_CANCELLED,   /* stopped by a signal or by mr_run_cancel: exit 130 or 143 */
    MR_NOMEM,       /* the allocator said no: exit 8 */
};

/* What a retry can hope for. */
enum mr_error_class {
    MR_CLASS_CONFIG,    /* will fail again until somebody changes something */
    MR_CLASS_DATA,      /* the data is at fault: a cast, a range, an encoding */
    MR_CLASS_TRANSIENT, /* may succeed when repeated */
    MR_CLASS_UNKNOWN,   /* the effect may have happened: read back, never repeat blindly */
    MR_CLASS_FATAL,     /* stop now: a failed fsync, a broken invariant */
    MR_CLASS_REFUSED, /* a commit: the target proves that nothing of it happened, nor can any more */
    /* a commit: another run has gone on from this target since, and what became of ours cannot be told */
    MR_CLASS_SUPERSEDED,
};

struct mr_error {
    enum mr_status status;
    enum mr_error_class cls;
    char message[1024]; /* what happened, without secrets */
    char where[384];    /* file:line:column, or step and option, or URL and offset; may be empty */
    char hint[384];     /* how to mend it; may be empty */
};

/* Sets err (if not NULL) and returns `status`. `where` and `hint` become empty. Never allocates. */
enum mr_status mr_error_set(struct mr_error *err, enum mr_status status, enum mr_error_class cls,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Shorthands with the class that nearly always goes with the status. */
enum mr_status mr_error_config(struct mr_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum mr_status mr_error_data(struct mr_error *err, enum mr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum mr_status mr_error_internal(struct mr_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum mr_status mr_error_nomem(struct mr_error *err);
enum mr_status mr_error_cancelled(struct mr_error *err);
/* From errno: ENOSPC and EDQUOT are MR_LIMIT-free `status` with a hint, EINTR/EAGAIN transient. */
enum mr_status mr_error_errno(struct mr_error *err, enum mr_status status, int errnum,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Replace the position or the hint. Long texts are cut at a UTF-8 boundary and end in "...". */
void mr_error_where(struct mr_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void mr_error_hint(struct mr_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What a target's own reads report as MR_SOURCE is a failure of the sink: gives the status to return. */
enum mr_status mr_error_of_sink(enum mr_status status, struct mr_error *err);
/* Puts "prefix: " in front of the message. */
void mr_error_prefix(struct mr_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The exit code of DIALECT for a status; MR_CANCELLED gives 130. */
int mr_status_exit_code(enum mr_status status);
/* "config", "source", ... as the report and the log spell it. */
const char *mr_status_name(enum mr_status status);
const char *mr_error_class_name(enum mr_error_class cls);

/* Leaves the calling function with the status of `expr` if it is not MR_OK. */
#define MR_TRY(expr)                                                                               \
    do {                                                                                           \
        enum mr_status mr_try_status = (expr);                                                     \
        if (mr_try_status != MR_OK)                                                                \
            return mr_try_status;                                                                  \
    } while (0)

/* The same inside a function that frees at its `out:` label and returns `status` there. */
#define MR_TRY_OUT(expr)                                                                           \
    do {                                                                                           \
        status = (expr);                                                                           \
        if (status != MR_OK)                                                                       \
            goto out;                                                                              \
    } while (0)

#endif
