/*
 * given.c - the list of given streams.
 *
 * A handful of entries, looked up a few times per plan: a list in the order of giving, which is
 * also the order in which messages name them.
 */
#include "ext/given.h"

enum mr_status mr_given_add(struct mr_given_list *list, const char *name,
                            struct ArrowArrayStream *stream, struct mr_error *err)
{
    if (name == NULL || name[0] == '\0')
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "a given stream needs a name");
    if (stream == NULL || stream->release == NULL)
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                            "the stream given as \"%.100s\" is released already", name);
    if (mr_given_find(list, name) != NULL)
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                            "a stream named \"%.100s\" is given already", name);
    size_t size = strlen(name) + 1;
    struct mr_given *given = mr_calloc(1, sizeof *given + size);
    if (given == NULL)
        return mr_error_nomem(err);
    memcpy(given->name, name, size);
    given->stream = *stream;
    stream->release = NULL;
    struct mr_given **link = &list->first;
    while (*link != NULL)
        link = &(*link)->next;
    *link = given;
    return MR_OK;
}

struct mr_given *mr_given_find(const struct mr_given_list *list, const char *name)
{
    struct mr_given *given = list != NULL ? list->first : NULL;
    while (given != NULL && strcmp(given->name, name) != 0)
        given = given->next;
    return given;
}

void mr_given_names(const struct mr_given_list *list, struct mr_bytes *out)
{
    for (const struct mr_given *given = list->first; given != NULL; given = given->next)
        mr_bytes_printf(out, "%s\"%.100s\"", given != list->first ? ", " : "", given->name);
}

void mr_given_reset(struct mr_given_list *list)
{
    while (list->first != NULL) {
        struct mr_given *given = list->first;
        list->first = given->next;
        if (given->held != NULL)
            given->held_free(given->held);
        if (given->stream.release != NULL)
            given->stream.release(&given->stream);
        mr_free(given);
    }
}
