/*
 * log.h - one log record, and the callback that receives it. Only run/ and api/ hold a logger.
 */
#ifndef MR_BASE_LOG_H
#define MR_BASE_LOG_H

#include "base/bytes.h"

enum mr_log_level { MR_LOG_DEBUG, MR_LOG_INFO, MR_LOG_WARN, MR_LOG_ERROR };

struct mr_log_record {
    enum mr_log_level level;
    int64_t wall_micros;
    const char *logger;  /* "run", "plan", "exec" */
    const char *thread;  /* name of the thread */
    const char *message; /* one line, without secrets */
    const char *run_id;  /* any of these may be NULL */
    const char *pipeline;
    const char *step;
};

/* Called from any thread, never concurrently with itself. */
typedef void (*mr_log_fn)(void *context, const struct mr_log_record *record);

/*
 * One line as text ("12:00:01.123 INFO  run: ...") or as JSON with the field names of DIALECT; no
 * newline.
 */
void mr_log_format_text(const struct mr_log_record *record, struct mr_bytes *out);
void mr_log_format_json(const struct mr_log_record *record, struct mr_bytes *out);

#endif
