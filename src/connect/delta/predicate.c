/*
 * predicate.c - a condition made for one schema, copied for another: the table's, the batches', the
 * files'. A part that cannot be said there takes the whole condition with it: leaving out a part of
 * an AND would be right at the top and wrong below a NOT, and callers have the ANDs split already.
 */
#include "connect/delta/predicate.h"

static bool copy_values(struct mr_arena *arena, const struct mr_predicate *from,
                        struct mr_predicate *copy)
{
    struct mr_value *values = mr_arena_calloc(arena, (size_t)from->nvalues + 1, sizeof *values);
    if (!values)
        return false;
    for (int i = 0; i < from->nvalues; i++) {
        if (!mr_value_copy(arena, &from->values[i], &values[i]))
            return false;
    }
    copy->values = values;
    return true;
}

static bool copy_args(struct mr_arena *arena, const struct mr_predicate *from, const int *columns,
                      int ncolumns, struct mr_predicate *copy)
{
    const struct mr_predicate **args =
        mr_arena_calloc(arena, (size_t)from->nargs + 1, sizeof *args);
    if (!args)
        return false;
    copy->args = args;
    copy->nargs = 0;
    for (int i = 0; i < from->nargs; i++) {
        const struct mr_predicate **arg = &args[copy->nargs];
        if (!delta_predicate_copy(arena, from->args[i], columns, ncolumns, arg))
            return false;
        copy->nargs += *arg != NULL;
    }
    return true;
}

bool delta_predicate_copy(struct mr_arena *arena, const struct mr_predicate *predicate,
                          const int *columns, int ncolumns, const struct mr_predicate **out)
{
    *out = NULL;
    struct mr_predicate *copy = mr_arena_alloc(arena, sizeof *copy);
    if (!copy)
        return false;
    *copy = *predicate;
    if (predicate->kind == MR_PREDICATE_AND || predicate->kind == MR_PREDICATE_OR ||
        predicate->kind == MR_PREDICATE_NOT) {
        if (!copy_args(arena, predicate, columns, ncolumns, copy))
            return false;
        *out = copy->nargs == predicate->nargs ? copy : NULL;
        return true;
    }
    if (predicate->column < 0 || predicate->column >= ncolumns)
        return true;
    copy->column = columns ? columns[predicate->column] : predicate->column;
    if (copy->column < 0)
        return true;
    if (!copy_values(arena, predicate, copy))
        return false;
    *out = copy;
    return true;
}
