/*
 * logger.h - the one place that logs: serialises records and hands them to the caller's function.
 */
#ifndef MR_RUN_LOGGER_H
#define MR_RUN_LOGGER_H

#include "base/log.h"
#include "base/thread.h"

struct mr_logger {
    pthread_mutex_t mutex; /* guards the calls of `write` */
    mr_log_fn write;       /* NULL = nobody listens */
    void *context;
    enum mr_log_level level; /* records below it are not made */
    const char *run_id;
    const char *pipeline;
};

void mr_logger_init(struct mr_logger *logger, mr_log_fn write, void *context,
                    enum mr_log_level level);
/* Any thread. `step` may be NULL. */
void mr_logger_write(struct mr_logger *logger, enum mr_log_level level, const char *name,
                     const char *step, const char *message);
void mr_logger_printf(struct mr_logger *logger, enum mr_log_level level, const char *name,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
