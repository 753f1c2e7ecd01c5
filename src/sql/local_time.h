/*
 * local_time.h - date and time arguments as fields of the session's time zone.
 */
#ifndef MR_SQL_LOCAL_TIME_H
#define MR_SQL_LOCAL_TIME_H

#include "base/time.h"
#include "sql/function.h"

static inline int64_t mr_floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/* DATE, TIMESTAMP or TIMESTAMP_NTZ of a row as local microseconds. */
static inline int64_t mr_local_micros(const struct mr_sql_session *session,
                                      const struct mr_arg *arg, int64_t row)
{
    if (arg->type->id == MR_TYPE_DATE)
        return MR_ARG(*arg, int32_t, row) * MR_MICROS_PER_DAY;
    int64_t micros = MR_ARG(*arg, int64_t, row);
    return arg->type->id == MR_TYPE_TIMESTAMP ? mr_tz_to_local(session->tz, micros) : micros;
}

#endif
