/*
 * context.c - collecting the problems of one reading.
 *
 * Problems come in the order of checking, which is not that of the file (frames are checked after options, references
 * after the file that holds them), so they are kept in a list and sorted at the end. The list is bounded: a file of
 * ten thousand wrong keys needs no ten thousand messages.
 */
#include "config/context.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBLEMS_MAX 256
#define NOTES_MAX    1000

void mr_config_context_init(struct mr_config_context *context, struct mr_arena *arena,
                            const struct mr_load_request *request)
{
    memset(context, 0, sizeof(*context));
    context->arena = arena;
    context->request = request;
    context->registry = request->registry;
}

enum mr_status mr_config_report(struct mr_config_context *context, struct mr_position at,
                                const struct mr_error *err)
{
    if (err->status == MR_NOMEM)
        return MR_NOMEM;
    if (context->nproblems >= PROBLEMS_MAX)
        return MR_OK;
    struct mr_config_problem *problem = mr_arena_alloc(context->arena, sizeof(*problem));
    if (problem == NULL)
        return MR_NOMEM;
    problem->err = *err;
    if (context->label != NULL)
        mr_error_prefix(&problem->err, "%s", context->label);
    if (at.line > 0)
        mr_error_where(&problem->err, "%s:%d:%d", at.file, at.line, at.column);
    else if (at.file != NULL)
        mr_error_where(&problem->err, "%s", at.file);
    problem->order = context->order.line > 0 ? context->order : at;
    problem->sequence = context->nproblems++;
    problem->next = context->problems;
    context->problems = problem;
    return MR_OK;
}

enum mr_status mr_config_problem(struct mr_config_context *context, struct mr_position at,
                                 const char *format, ...)
{
    char message[900];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    struct mr_error err;
    mr_error_config(&err, "%s", message);
    return mr_config_report(context, at, &err);
}

enum mr_status mr_config_unknown_key(struct mr_config_context *context, struct mr_position at,
                                     const char *key, const char *const *names, size_t count)
{
    struct mr_error err;
    mr_error_config(&err, "unknown key \"%.80s\"", key);
    const char *nearest = mr_nearest_name(key, names, count);
    if (nearest != NULL) {
        mr_error_hint(&err, "did you mean \"%s\"?", nearest);
    } else if (count > 0) {
        char list[sizeof(err.hint)] = "";
        size_t used = 0;
        for (size_t i = 0; i < count && used < sizeof(list); i++)
            used +=
                (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", names[i]);
        mr_error_hint(&err, "known keys: %s", list);
    }
    return mr_config_report(context, at, &err);
}

enum mr_status mr_config_note(struct mr_config_context *context, struct mr_position at,
                              const char *format, ...)
{
    if (context->nnotes >= NOTES_MAX)
        return MR_OK;
    if (context->nnotes == context->notes_capacity) {
        int capacity = context->notes_capacity ? 2 * context->notes_capacity : 16;
        struct mr_spec_note *grown =
            mr_arena_calloc(context->arena, (size_t)capacity, sizeof(*grown));
        if (grown == NULL)
            return MR_NOMEM;
        if (context->nnotes > 0)
            memcpy(grown, context->notes, (size_t)context->nnotes * sizeof(*grown));
        context->notes = grown;
        context->notes_capacity = capacity;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    char *copy = mr_arena_strdup(context->arena, text);
    if (copy == NULL)
        return MR_NOMEM;
    context->notes[context->nnotes++] = (struct mr_spec_note){.text = copy, .position = at};
    return MR_OK;
}

static int compare_problems(const void *a, const void *b)
{
    const struct mr_config_problem *x = *(struct mr_config_problem *const *)a;
    const struct mr_config_problem *y = *(struct mr_config_problem *const *)b;
    if (x->order.line != y->order.line)
        return x->order.line < y->order.line ? -1 : 1;
    if (x->order.column != y->order.column)
        return x->order.column < y->order.column ? -1 : 1;
    return x->sequence - y->sequence;
}

enum mr_status mr_config_take_problems(struct mr_config_context *context,
                                       struct mr_load_errors *errors)
{
    struct mr_config_problem *sorted[PROBLEMS_MAX];
    int count = 0;
    for (struct mr_config_problem *at = context->problems; at != NULL; at = at->next)
        sorted[count++] = at;
    errors->count = 0;
    if (count == 0)
        return MR_OK;
    qsort(sorted, (size_t)count, sizeof(sorted[0]), compare_problems);
    for (int i = 0; i < count && errors->count < MR_LOAD_MAX_ERRORS; i++)
        errors->items[errors->count++] = sorted[i]->err;
    return errors->items[0].status;
}

char *mr_config_directory(struct mr_arena *arena, const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    if (slash == NULL)
        return mr_arena_strdup(arena, ".");
    return mr_arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

char *mr_config_join(struct mr_arena *arena, const char *directory, const char *path)
{
    if (path[0] == '/' || strcmp(directory, ".") == 0)
        return mr_arena_strdup(arena, path);
    const char *separator = directory[strlen(directory) - 1] == '/' ? "" : "/";
    return mr_arena_printf(arena, "%s%s%s", directory, separator, path);
}
