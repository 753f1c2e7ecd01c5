/*
 * log.c - the two written forms of a log record.
 *
 * Text is for a terminal: time of day in UTC, level, logger, message. JSON has the field names that
 * log collectors set up for Logback already parse (@timestamp, level, logger_name, ...); absent
 * fields are left out.
 */
#include "base/log.h"

#include "base/time.h"

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

void mr_log_format_text(const struct mr_log_record *record, struct mr_bytes *out)
{
    struct mr_civil at;
    mr_civil_from_micros(record->wall_micros, &at);
    mr_bytes_printf(out, "%02d:%02d:%02d.%03d %-5s %s: ", at.hour, at.minute, at.second,
                    at.micro / 1000, level_names[record->level],
                    record->logger ? record->logger : "run");
    if (record->step)
        mr_bytes_printf(out, "[%s] ", record->step);
    mr_bytes_text(out, record->message ? record->message : "");
}

static void field(struct mr_bytes *out, const char *name, const char *value)
{
    if (!value)
        return;
    mr_bytes_printf(out, ",\"%s\":", name);
    mr_bytes_json_string(out, value, strlen(value));
}

void mr_log_format_json(const struct mr_log_record *record, struct mr_bytes *out)
{
    struct mr_civil at;
    mr_civil_from_micros(record->wall_micros, &at);
    mr_bytes_printf(out, "{\"@timestamp\":\"%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ\"",
                    (long long)at.year, at.month, at.day, at.hour, at.minute, at.second,
                    at.micro / 1000);
    field(out, "level", level_names[record->level]);
    field(out, "logger_name", record->logger);
    field(out, "thread_name", record->thread);
    field(out, "message", record->message);
    field(out, "run_id", record->run_id);
    field(out, "pipeline", record->pipeline);
    field(out, "step", record->step);
    mr_bytes_char(out, '}');
}
