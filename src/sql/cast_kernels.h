/*
 * cast_kernels.h - one kernel for each kind of target; the source type is looked at inside.
 */
#ifndef MR_SQL_CAST_KERNELS_H
#define MR_SQL_CAST_KERNELS_H

#include "sql/function.h"

/* From BOOL and numbers (cast_number.c). */
enum mr_status mr_cast_to_integer(struct mr_call *call, struct mr_column **out);
enum mr_status mr_cast_to_float(struct mr_call *call, struct mr_column **out);
enum mr_status mr_cast_to_decimal(struct mr_call *call, struct mr_column **out);
enum mr_status mr_cast_number_to_bool(struct mr_call *call, struct mr_column **out);
/* ANSI off: the bytes of an integer, highest first; dates are no numbers. */
enum mr_status mr_cast_integer_to_binary(struct mr_call *call, struct mr_column **out);
enum mr_status mr_cast_to_null(struct mr_call *call, struct mr_column **out);
/* From and to text (cast_text.c). */
enum mr_status mr_cast_to_text(struct mr_call *call, struct mr_column **out);
enum mr_status mr_cast_from_text(struct mr_call *call, struct mr_column **out);
/* Text to an instant: the text's own zone, else the session's. *ok false: it is no timestamp. */
enum mr_status mr_text_to_instant(struct mr_call *call, struct mr_slice text, int64_t *micros,
                                  bool *ok);
/* The same storage under another type. */
enum mr_status mr_cast_retype(struct mr_call *call, struct mr_column **out);
/* BINARY to text (checked to be UTF-8), BINARY <-> UUID. */
enum mr_status mr_cast_binary(struct mr_call *call, struct mr_column **out);
/* DATE, TIMESTAMP, TIMESTAMP_NTZ among each other; TIMESTAMP to and from numbers (cast_time.c). */
enum mr_status mr_cast_datetime(struct mr_call *call, struct mr_column **out);
enum mr_status mr_cast_timestamp_to_number(struct mr_call *call, struct mr_column **out);
enum mr_status mr_cast_number_to_timestamp(struct mr_call *call, struct mr_column **out);
/* LIST, STRUCT, MAP of castable elements (cast.c). */
enum mr_status mr_cast_nested(struct mr_call *call, struct mr_column **out);

#endif
