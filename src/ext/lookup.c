/*
 * lookup.c - finding implementations by name in a registry table.
 *
 * The table has a few dozen rows and is searched when a file is loaded, never per batch, so that a
 * linear walk is enough. It also answers what config/ and the reference pages need to know of an
 * implementation without seeing its contract header.
 */
#include "ext/registry.h"

#include "base/map.h"
#include "base/text.h"
#include "ext/action.h"
#include "ext/codec.h"
#include "ext/format.h"
#include "ext/op.h"
#include "ext/sink.h"
#include "ext/source.h"
#include "ext/store.h"

#define NAMES_MAX 256

/* Does `name` occur in a comma-separated list? */
static bool any_alias(const char *aliases, const char *name)
{
    size_t size = strlen(name);
    while (aliases != NULL && *aliases != '\0') {
        size_t part = strcspn(aliases, ",");
        if (part == size && memcmp(aliases, name, size) == 0)
            return true;
        aliases += part + (aliases[part] == ',');
    }
    return false;
}

const struct mr_method *mr_registry_method(const struct mr_registry *registry, const char *name)
{
    for (const struct mr_method *row = registry->methods; row->name != NULL; row++)
        if (strcmp(row->name, name) == 0 || any_alias(row->aliases, name))
            return row;
    return NULL;
}

const struct mr_method *mr_registry_method_of(const struct mr_registry *registry, const char *name,
                                              enum mr_step_type type)
{
    for (const struct mr_method *row = registry->methods; row->name != NULL; row++)
        if (row->type == type && (strcmp(row->name, name) == 0 || any_alias(row->aliases, name)))
            return row;
    return mr_registry_method(registry, name);
}

const struct mr_store *mr_registry_store(const struct mr_registry *registry, const char *scheme)
{
    if (mr_text_equal_nocase(scheme, "s3a")) /* as Hadoop spells it */
        scheme = "s3";
    for (const struct mr_store *const *row = registry->stores; *row != NULL; row++)
        if (mr_text_equal_nocase((*row)->scheme, scheme))
            return *row;
    return NULL;
}

const struct mr_format *mr_registry_format(const struct mr_registry *registry, const char *name)
{
    for (const struct mr_format *const *row = registry->formats; *row != NULL; row++)
        if (mr_text_equal_nocase((*row)->name, name))
            return *row;
    return NULL;
}

const struct mr_codec *mr_registry_codec(const struct mr_registry *registry, const char *name)
{
    for (const struct mr_codec *const *row = registry->codecs; *row != NULL; row++)
        if (mr_text_equal_nocase((*row)->name, name))
            return *row;
    return NULL;
}

const char *mr_registry_nearest_method(const struct mr_registry *registry, const char *name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (const struct mr_method *row = registry->methods; row->name != NULL; row++)
        if (count < NAMES_MAX)
            names[count++] = row->name;
    return mr_nearest_name(name, names, count);
}

const struct mr_option *mr_method_options(const struct mr_method *method)
{
    if (method->source != NULL)
        return method->source->options;
    if (method->op != NULL)
        return method->op->options;
    if (method->sink != NULL)
        return method->sink->options;
    if (method->action != NULL)
        return method->action->options;
    return NULL;
}

const char *mr_method_system(const struct mr_method *method)
{
    if (method->source != NULL)
        return method->source->system;
    if (method->op != NULL)
        return method->op->system;
    if (method->sink != NULL)
        return method->sink->system;
    if (method->action != NULL)
        return method->action->system;
    return NULL;
}

const char *mr_method_doc(const struct mr_method *method)
{
    if (method->doc != NULL)
        return method->doc;
    if (method->source != NULL)
        return method->source->doc;
    if (method->op != NULL)
        return method->op->doc;
    if (method->sink != NULL)
        return method->sink->doc;
    if (method->action != NULL)
        return method->action->doc;
    return NULL;
}

int mr_method_min_inputs(const struct mr_method *method)
{
    if (method->op != NULL)
        return method->op->min_inputs;
    return method->sink != NULL ? 1 : 0;
}

int mr_method_max_inputs(const struct mr_method *method)
{
    if (method->op != NULL)
        return method->op->max_inputs;
    return method->sink != NULL ? 1 : 0;
}

const char *mr_format_name(const struct mr_format *format)
{
    return format->name;
}

const char *mr_format_doc(const struct mr_format *format)
{
    return format->doc;
}

const struct mr_option *mr_format_options(const struct mr_format *format)
{
    return format->options;
}

bool mr_format_can_read(const struct mr_format *format)
{
    return format->read_open != NULL;
}

bool mr_format_can_write(const struct mr_format *format)
{
    return format->write_open != NULL;
}

const char *mr_codec_name(const struct mr_codec *codec)
{
    return codec->name;
}

const char *mr_codec_doc(const struct mr_codec *codec)
{
    return codec->doc;
}

void mr_codec_levels(const struct mr_codec *codec, int *minimum, int *maximum, int *normal)
{
    *minimum = codec->min_level;
    *maximum = codec->max_level;
    *normal = codec->default_level;
}

const char *mr_step_type_name(enum mr_step_type type)
{
    static const char *const names[] = {"extract", "transform", "validate", "load", "maintain"};
    return names[type];
}
