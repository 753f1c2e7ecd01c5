/*
 * logger.c - log records of a run. Records are built outside of the lock; the lock only keeps lines whole.
 */
#include "run/logger.h"

#include "base/time.h"

#include <stdio.h>

void mr_logger_init(struct mr_logger *logger, mr_log_fn write, void *context,
                    enum mr_log_level level)
{
    *logger = (struct mr_logger){.write = write, .context = context, .level = level};
    mr_mutex_init(&logger->mutex);
}

void mr_logger_write(struct mr_logger *logger, enum mr_log_level level, const char *name,
                     const char *step, const char *message)
{
    if (!logger->write || level < logger->level)
        return;
    char thread[16] = "main";
    pthread_getname_np(pthread_self(), thread, sizeof thread);
    struct mr_log_record record = {
        .level = level,
        .wall_micros = mr_clock_wall_micros(),
        .logger = name,
        .thread = thread,
        .message = message,
        .run_id = logger->run_id,
        .pipeline = logger->pipeline,
        .step = step,
    };
    pthread_mutex_lock(&logger->mutex);
    logger->write(logger->context, &record);
    pthread_mutex_unlock(&logger->mutex);
}

void mr_logger_printf(struct mr_logger *logger, enum mr_log_level level, const char *name,
                      const char *format, ...)
{
    char message[2048];
    va_list args;
    if (!logger->write || level < logger->level)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    mr_logger_write(logger, level, name, NULL, message);
}
