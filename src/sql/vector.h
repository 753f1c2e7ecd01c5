/*
 * vector.h - loops that the compiler turns into vector instructions.
 *
 * At -O2 gcc vectorises only loops that need no remainder; the functions marked here are few, short and hot.
 */
#ifndef MR_SQL_VECTOR_H
#define MR_SQL_VECTOR_H

#ifdef __clang__
#define MR_VECTORISE
#else
#define MR_VECTORISE __attribute__((optimize("O3")))
#endif

/* A fixed-width result without zeroing: every row in [0, length) will be written (or `rows` says which). */
#include "sql/function.h"

static inline enum mr_status mr_fixed_new(struct mr_call *call, struct mr_buffer **values)
{
    size_t width = (size_t)mr_layout_width(mr_type_layout(call->type));
    size_t size = (size_t)call->length * width;
    MR_TRY(mr_buffer_new(call->memory, size, values, call->err));
    if (call->rows != NULL)
        memset((*values)->data, 0, size);
    return MR_OK;
}

/* Takes `values` over; NULLs are those of the arguments. */
static inline enum mr_status mr_fixed_finish(struct mr_call *call, struct mr_buffer *values,
                                             struct mr_column **out)
{
    size_t width = (size_t)mr_layout_width(mr_type_layout(call->type));
    int64_t nulls = 0;
    mr_buffer_finish(values, (size_t)call->length * width);
    if (call->validity != NULL)
        nulls = call->length - mr_bitmap_count(call->validity->data, call->length);
    return mr_column_new(call->type, call->length, nulls, mr_buffer_ref(call->validity), values,
                         NULL, out, call->err);
}

#endif
