/*
 * event_time.h - what operators on event times share: options, the time of rows, and the parts that a step with a
 * `watermark` expands to.
 *
 * A step (aggregateData, joinDataFrames, deduplicate) with `watermark` and `late` puts two parts in front of each input that
 * it measures: withWatermark, which tells the clock, and dropLateRows, which leaves out what came too late. Without
 * `watermark` it finds the clock of an earlier withWatermark in runtime->clocks, and still wants dropLateRows.
 */
#ifndef MR_OP_EVENT_TIME_H
#define MR_OP_EVENT_TIME_H

#include "op/bind.h"

#include "ext/event_clock.h"
#include "ext/kept.h"

extern const struct mr_option
    mr_watermark_options[];                 /* column, delay, idle: all of withWatermark */
extern const char *const mr_late_choices[]; /* drop, deadLetter */
extern const struct mr_option mr_late_letter_options[];

/* `watermark` of a step that expands. */
#define MR_WATERMARK_OPTION                                                                        \
    {                                                                                              \
        .name = "watermark", .type = MR_OPTION_OBJECT, .fields = mr_watermark_options,             \
        .doc = "In a stream: measures the frame, as a step withWatermark in front would."          \
    }
/* Two rows: what becomes of late rows. The plan makes a sink of the second. */
#define MR_LATE_OPTIONS                                                                            \
    {.name = "late",                                                                               \
     .type = MR_OPTION_ENUM,                                                                       \
     .choices = mr_late_choices,                                                                   \
     .fallback = "drop",                                                                           \
     .doc = "Rows that come when the watermark has passed what they belong to are counted and "    \
            "dropped, or written to `deadLetter`."},                                               \
    {                                                                                              \
        .name = "deadLetter", .type = MR_OPTION_OBJECT, .fields = mr_late_letter_options,          \
        .doc = "Where late rows go, with a column _watermark: the watermark that they missed."     \
    }

/* What becomes of late rows; but for DROP they leave by port 1. */
enum mr_late { MR_LATE_DROP, MR_LATE_FILES, MR_LATE_TOPIC };
/* `late` and `deadLetter`, which have to fit each other. */
enum mr_status mr_late_bind(const struct mr_options *options, enum mr_late *out,
                            struct mr_error *err);
/*
 * Compiles an expression of type timestamp (or date, in batch also text, which are cast) over input 0; `option` is the one at fault.
 */
enum mr_status mr_event_time_compile(const struct mr_op_bind *bind, const char *text,
                                     const struct mr_options *options, const char *option,
                                     struct mr_expr **out, struct mr_error *err);
/* Of every row of the batch: FLAT, int64 micros. */
enum mr_status mr_event_time_eval(struct mr_eval *eval, const struct mr_expr *expr,
                                  const struct mr_batch *batch, struct mr_memory *memory,
                                  struct mr_column **out, struct mr_error *err);

/*
 * Parts in front of a stateful one: withWatermark (if `watermark`, the object of that option, is not NULL), then
 * dropLateRows with this `until` (NULL = none of it), reading input `input` of the step. Appends to `parts`, which has room; the last
 * one made is *last (or -1 - input, if none was). `late`: the step's options with MR_LATE_OPTIONS.
 * With dead letters parts->side is set.
 */
enum mr_status mr_event_time_parts(const struct mr_op_bind *bind,
                                   const struct mr_options *watermark, const char *until,
                                   const struct mr_options *late, int input,
                                   struct mr_op_parts *parts, int *last, struct mr_error *err);

#endif
