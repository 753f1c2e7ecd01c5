/*
 * read_back.c - the plan that reads the target of a load.
 *
 * The extract takes the options of the load as far as both know them, so a path, a table, a format and credentials mean what they
 * mean to the load, and the mapping of types is that of the source.
 */
#include "run/read_back.h"

#include <string.h>

const char *mr_read_back_method(const struct mr_step_spec *load)
{
    static const char *const pairs[][2] = {{"toPostgres", "fromPostgres"},
                                           {"delta", "fromDeltaLake"},
                                           {"files", "fromFile"},
                                           {"toKafka", "fromKafka"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (load->method->sink && strcmp(load->method->sink->name, pairs[i][0]) == 0)
            return pairs[i][1];
    return NULL;
}

void mr_read_back_init(struct mr_read_back *reader, struct mr_session *session,
                       const struct mr_step_spec *load)
{
    reader->session = session;
    reader->load = load;
    reader->spec = *session->spec;
    reader->spec.mode = MR_MODE_BATCH;
    reader->spec.steps = reader->steps;
    reader->spec.nsteps = 0;
    reader->spec.uses_last_run_timestamp = false;
    session->runtime.streaming = false; /* what is there is read once, from its beginning */
}

void mr_read_back_reset(struct mr_read_back *reader)
{
    mr_plan_free(reader->plan);
    reader->plan = NULL;
}

enum mr_status mr_read_back_step(struct mr_read_back *reader, const char *method,
                                 struct mr_options **options, struct mr_error *err)
{
    const struct mr_registry *registry = reader->session->runtime.registry;
    struct mr_arena *arena = &reader->session->arena;
    const struct mr_method *found = mr_registry_method(registry, method);
    if (!found)
        return mr_error_config(err, "needs the method \"%s\", which this build lacks", method);
    struct mr_step_spec *step = &reader->steps[reader->spec.nsteps];
    *options = mr_options_new(arena, mr_method_options(found));
    *step = (struct mr_step_spec){
        .index = reader->spec.nsteps,
        .type = found->type,
        .method = found,
        .method_name = method,
        .label = mr_arena_printf(arena, "%s, read back", reader->load->label),
        .key = mr_arena_printf(arena, "read back#%d", reader->spec.nsteps),
        .options = *options,
        .position = reader->load->position,
    };
    reader->spec.nsteps++;
    return *options && step->label && step->key ? MR_OK : mr_error_nomem(err);
}

/* The load's options that the source has too; a choice by its name, since lists of them differ. */
static enum mr_status copy_options(const struct mr_options *from, struct mr_options *to,
                                   struct mr_arena *arena, struct mr_error *err)
{
    to->position = from->position;
    for (int i = 0; i < to->count; i++) {
        const struct mr_option *row = mr_option_find(from->table, to->table[i].name);
        if (!row || row->type != to->table[i].type || strcmp(row->name, to->table[i].name) != 0 ||
            !mr_options_has(from, row->name))
            continue;
        if (row->type == MR_OPTION_ENUM) {
            MR_TRY(
                mr_options_set_text(arena, to, row->name, mr_options_text(from, row->name), err));
            continue;
        }
        to->values[i] = *mr_options_get(from, row->name);
        to->values[i].option = &to->table[i];
    }
    return MR_OK;
}

enum mr_status mr_read_back_source(struct mr_read_back *reader, struct mr_options **options,
                                   struct mr_error *err)
{
    struct mr_arena *arena = &reader->session->arena;
    reader->spec.nsteps = 0;
    MR_TRY(mr_read_back_step(reader, mr_read_back_method(reader->load), options, err));
    MR_TRY(copy_options(reader->load->options, *options, arena, err));
    return mr_options_fill_defaults(arena, *options, err);
}

enum mr_status mr_read_back_plan(struct mr_read_back *reader, bool with_splits, int64_t rows,
                                 struct mr_error *err)
{
    struct mr_session *session = reader->session;
    mr_read_back_reset(reader);
    struct mr_plan_request request = {
        .spec = &reader->spec,
        .arena = &session->arena,
        .runtime = &session->runtime,
        .tz = session->tz,
        .now_micros = session->start_wall,
        .connect = true,
        .with_splits = with_splits,
        .rows_wanted = rows,
    };
    return mr_plan_build(&request, &reader->plan, NULL, err);
}
