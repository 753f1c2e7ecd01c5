/*
 * kept.c - kept objects, and their rows as notes.
 *
 * An epoch's notes are the rows that keepers have emitted for it, in pieces of up to 4 MB, under the number of the epoch: they count when that
 * is committed, which is one record elsewhere, so nothing here can disagree with it. Everything is saved when nothing was, when what was
 * saved since has become larger than that, and from time to time (so that a start reads few notes); that epoch has a note "base", which
 * says whose rows there are and what they looked like. Reading begins at the last base that is committed.
 *
 * The first plan stays, because objects were opened with its operators' plans and accounts. Binding operators without an epoch around them was
 * refused: what an operator's bind may look at is a plan.
 */
#include "run/kept.h"

#include "base/clamp.h"
#include "base/hash.h"
#include "ext/event_clock.h"
#include "ext/held.h"
#include "ext/kept.h"
#include "ext/registry.h"
#include "run/kept_note.h"

#include <stdio.h>
#include <stdlib.h>

/* Of a note, before it is compressed; of notes that go into the state together. Less where memory is short. */
#define PIECE_LEAST ((int64_t)256 << 10)
#define PIECE_BYTES ((int64_t)4 << 20)
#define SEND_BYTES  (4 * PIECE_BYTES)
/* Everything is saved again when changes have become larger than it was, or after so many epochs if that is cheap. */
#define SMALL_BYTES ((int64_t)64 << 10)
#define MANY_EPOCHS 100
#define MOST_EPOCHS 5000
/* A note: up to this epoch nothing is read, so nothing is kept. */
#define FRESH "fresh"
/* A note: up to this epoch some were committed without what steps keep of them: by a target (--adopt), by a batch run. */
#define MISSED       "missed"
#define NOTE_MAXIMUM ((size_t)1 << 29)

struct object {
    struct mr_kept_owner owner;
    const char *label;
    const struct mr_op *op;
    const struct mr_schema *schema; /* of the rows that are saved */
    struct mr_memory *memory;
    void *kept;
};

struct mr_kept {
    struct mr_kept_place place;
    const struct mr_codec *codec;
    void *scratch;
    struct mr_arena own;   /* what is known of the objects */
    struct mr_plan *plan;  /* they were opened with; NULL = there are no objects */
    struct mr_arena arena; /* of that plan, once it is ours */
    bool taken;
    bool open;
    int nobjects;
    struct object *objects;
    int nmet;
    struct mr_event_clock **met; /* of the epoch at hand: where frames meet */
    /* what is in the state */
    bool has_base;
    int64_t base_bytes;
    int64_t later_bytes;
    int64_t epochs; /* since the base */
    bool saved_everything;
    int64_t saved_bytes;
};

enum mr_status mr_kept_new(const struct mr_kept_place *place, struct mr_kept **out,
                           struct mr_error *err)
{
    struct mr_kept *kept = mr_calloc(1, sizeof *kept);
    if (kept == NULL)
        return mr_error_nomem(err);
    kept->place = *place;
    kept->codec = mr_registry_codec(place->registry, "lz4");
    mr_arena_init(&kept->own, NULL);
    *out = kept;
    return MR_OK;
}

static void forget_met(struct mr_kept *kept)
{
    for (int i = 0; i < kept->nmet; i++)
        mr_event_clock_free(kept->met[i]);
    mr_free(kept->met);
    kept->met = NULL;
    kept->nmet = 0;
}

void mr_kept_discard(struct mr_kept *kept)
{
    forget_met(kept);
    for (int i = 0; i < kept->nobjects; i++)
        if (kept->objects[i].kept != NULL)
            kept->objects[i].op->keeper->close(kept->objects[i].kept);
    kept->nobjects = 0;
    kept->objects = NULL;
    if (kept->taken) {
        mr_plan_free(kept->plan);
        mr_arena_reset(&kept->arena);
    }
    kept->taken = kept->open = false;
    kept->plan = NULL;
    mr_arena_reset(&kept->own);
    mr_arena_init(&kept->own, NULL);
}

void mr_kept_free(struct mr_kept *kept)
{
    if (kept == NULL)
        return;
    mr_kept_discard(kept);
    mr_arena_reset(&kept->own);
    if (kept->codec != NULL && kept->codec->free_scratch != NULL && kept->scratch != NULL)
        kept->codec->free_scratch(kept->scratch);
    mr_free(kept);
}

bool mr_kept_is_open(const struct mr_kept *kept)
{
    return kept->open;
}

bool mr_kept_takes(struct mr_kept *kept, struct mr_plan *plan, struct mr_arena *arena)
{
    if (plan == NULL || kept->plan != plan || kept->taken)
        return false;
    mr_plan_close_ends(plan);
    kept->arena = *arena;
    kept->taken = true;
    return true;
}

/* ---- which operators keep something ---- */

static bool keeps(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_OP && node->op->keeper != NULL && node->op_info.kept != NULL &&
           !node->absorbed;
}

bool mr_kept_wanted(const struct mr_plan *plan)
{
    for (int i = 0; i < plan->nnodes; i++)
        if (keeps(&plan->nodes[i]) && !(plan->nodes[i].op->flags & MR_OP_MEASURES))
            return true;
    return false;
}

/* Number of the node among those of its step that keep something. */
static int part_of(const struct mr_plan *plan, const struct mr_plan_node *node)
{
    int part = 0;
    for (int i = 0; i < node->id; i++)
        part += keeps(&plan->nodes[i]) && plan->nodes[i].step == node->step;
    return part;
}

static struct object *find(struct mr_kept *kept, struct mr_slice step, int part)
{
    for (int i = 0; i < kept->nobjects; i++)
        if (mr_slice_equal(mr_slice_of(kept->objects[i].owner.step), step) &&
            kept->objects[i].owner.part == part)
            return &kept->objects[i];
    return NULL;
}

static struct object *object_of(struct mr_kept *kept, const struct mr_plan *plan,
                                const struct mr_plan_node *node)
{
    return find(kept, mr_slice_of(node->step->key), part_of(plan, node));
}

static enum mr_status hash_options(const struct mr_plan_node *node, uint64_t *out,
                                   struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_options_write(node->step->options, MR_OPTION_SECRET | MR_OPTION_CONNECTION, &text);
    enum mr_status status = mr_bytes_status(&text, err);
    *out = mr_hash64(text.data, text.size);
    mr_bytes_reset(&text);
    return status;
}

static const char *schema_text(struct mr_arena *arena, const struct mr_schema *schema)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_schema_format(schema, &text);
    return mr_bytes_to_arena(&text, arena);
}

static enum mr_status open_object(struct mr_kept *kept, const struct mr_plan *plan,
                                  const struct mr_plan_node *node, int64_t share,
                                  struct mr_error *err)
{
    struct object *object = &kept->objects[kept->nobjects];
    *object = (struct object){
        .owner = {.step = mr_arena_strdup(&kept->own, node->step->key),
                  .part = part_of(plan, node),
                  .op = node->op->name,
                  .schema = schema_text(&kept->own, node->op_info.kept),
                  .clock = (node->op->flags & MR_OP_MEASURES) != 0},
        .label = node->label,
        .op = node->op,
        .schema = node->op_info.kept,
        .memory = node->runtime->memory,
    };
    if (object->owner.step == NULL || object->owner.schema == NULL)
        return mr_error_nomem(err);
    MR_TRY(hash_options(node, &object->owner.options, err));
    kept->nobjects++;
    enum mr_status status =
        node->op->keeper->open(node->op_plan, node->runtime, share, &object->kept, err);
    if (status != MR_OK)
        object->kept = NULL;
    return status;
}

/*
 * A quarter of the memory, in equal parts: the rest is for the epochs, whose plans divide what is free then. What the first one brings, which
 * may be nothing, has no part in it.
 */
static int64_t share_of_each(const struct mr_plan *plan)
{
    int64_t count = 0;
    for (int i = 0; i < plan->nnodes; i++)
        count += keeps(&plan->nodes[i]) && !(plan->nodes[i].op->flags & MR_OP_MEASURES);
    if (count == 0)
        return 0;
    const struct mr_runtime *runtime = plan->nodes[0].runtime;
    int64_t left = mr_memory_available(runtime->memory) - mr_held_reserve(runtime->held);
    return left > 0 ? left / 4 / count : 0;
}

static enum mr_status open_all(struct mr_kept *kept, struct mr_plan *plan, struct mr_error *err)
{
    int64_t share = share_of_each(plan);
    kept->objects = mr_arena_calloc(&kept->own, (size_t)plan->nnodes + 1, sizeof *kept->objects);
    if (kept->objects == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->nnodes; i++) {
        if (!keeps(&plan->nodes[i]))
            continue;
        kept->plan = plan;
        MR_TRY(open_object(kept, plan, &plan->nodes[i], share, err));
    }
    return MR_OK;
}

/* ---- reading what is committed ---- */

static enum mr_status misfit(struct mr_error *err, const char *label, const char *what)
{
    mr_error_config(err, "%s%s%s", label, label[0] != '\0' ? ": " : "", what);
    mr_error_hint(err, "put the step back as it was, or run once with --fresh: what steps keep is "
                       "forgotten then, and the stream begins anew");
    return MR_CONFIG;
}

/* Are these the steps that the rows in the state belong to? */
static enum mr_status compare_owners(struct mr_kept *kept, const struct mr_kept_owner *owners,
                                     int count, struct mr_error *err)
{
    for (int i = 0; i < count; i++) {
        const struct object *object = find(kept, mr_slice_of(owners[i].step), owners[i].part);
        if (object == NULL && !owners[i].clock) {
            char text[200];
            snprintf(text, sizeof text, "the state keeps rows of a step \"%.100s\" that is gone",
                     owners[i].step);
            return misfit(err, "", text);
        }
        if (object == NULL)
            continue;
        bool same = strcmp(object->owner.op, owners[i].op) == 0 &&
                    strcmp(object->owner.schema, owners[i].schema) == 0 &&
                    (object->owner.clock || object->owner.options == owners[i].options);
        if (!same)
            return misfit(err, object->label,
                          "its options, or the columns that it is given, are not those that the "
                          "rows it keeps were made with");
    }
    for (int k = 0; k < kept->nobjects; k++) {
        bool known = kept->objects[k].owner.clock;
        for (int i = 0; i < count && !known; i++)
            known = strcmp(owners[i].step, kept->objects[k].owner.step) == 0 &&
                    owners[i].part == kept->objects[k].owner.part;
        if (!known)
            return misfit(err, kept->objects[k].label,
                          "epochs were committed without it, so the state has nothing that it "
                          "would keep");
    }
    return MR_OK;
}

/* The notes of one epoch of one object must be all there, in their order. */
struct sequence {
    int64_t epoch;
    const struct object *object; /* NULL = nothing is open */
    int next;
};

static enum mr_status read_rows(struct mr_kept *kept, const struct mr_note *named,
                                struct sequence *sequence, struct mr_error *err)
{
    struct mr_slice step;
    int part, number;
    struct mr_arena arena;
    struct mr_batch *batch = NULL;
    struct mr_note note;
    bool last = false;
    if (!mr_kept_rows_parse(named->name, &step, &part, &number))
        return mr_kept_damaged(err);
    struct object *object = find(kept, step, part);
    if (object == NULL)
        return MR_OK; /* a clock that is gone */
    bool goes_on = sequence->object == object && sequence->epoch == named->epoch;
    if ((sequence->object != NULL && !goes_on) || number != (goes_on ? sequence->next : 0))
        return mr_kept_damaged(err);
    mr_arena_init(&arena, NULL);
    enum mr_status status = MR_OK;
    MR_TRY_OUT(mr_state_note(kept->place.state, kept->place.key, MR_NOTE_KEPT, named->epoch,
                             named->name, &arena, &note, err));
    kept->later_bytes += (int64_t)note.bytes.size;
    MR_TRY_OUT(mr_kept_rows_decode(note.bytes, object->schema, kept->codec, object->memory, &last,
                                   &batch, err));
    status = object->op->keeper->restore(object->kept, batch, err);
    mr_progressed(kept->place.runtime);
    *sequence = (struct sequence){named->epoch, last ? NULL : object, number + 1};
out:
    mr_batch_unref(batch);
    mr_arena_reset(&arena);
    return status;
}

static bool is_base(const struct mr_note *note)
{
    return strcmp(note->name, MR_KEPT_BASE) == 0;
}

static struct mr_note mark(const char *name, int64_t epoch)
{
    return (struct mr_note){.epoch = epoch, .name = name, .bytes = {"", 0}};
}

/* What the notes say, without the rows. */
struct marks {
    const struct mr_note *base, *fresh, *missed;
};

/* Names are by epoch; those of epochs behind `committed` belong to none. */
static struct marks find_marks(const struct mr_note *names, int count, int64_t committed)
{
    struct marks marks = {0};
    for (int i = 0; i < count && names[i].epoch <= committed; i++) {
        if (is_base(&names[i]))
            marks.base = &names[i];
        else if (strcmp(names[i].name, FRESH) == 0)
            marks.fresh = &names[i];
        else if (strcmp(names[i].name, MISSED) == 0)
            marks.missed = &names[i];
    }
    if (marks.base != NULL && marks.fresh != NULL && marks.base->epoch <= marks.fresh->epoch)
        marks.base = NULL;
    if (marks.missed != NULL && ((marks.base != NULL && marks.missed->epoch < marks.base->epoch) ||
                                 (marks.fresh != NULL && marks.missed->epoch < marks.fresh->epoch)))
        marks.missed = NULL;
    return marks;
}

struct mr_note_change mr_kept_miss(int64_t epoch)
{
    return (struct mr_note_change){MR_NOTE_KEPT, epoch + 1, mark(MISSED, epoch)};
}

/* *count: of all notes. */
static enum mr_status read_marks(struct mr_state *state, const char *key, int64_t committed,
                                 struct mr_arena *arena, struct marks *out, int *count,
                                 struct mr_error *err)
{
    struct mr_note *names = NULL;
    MR_TRY(mr_state_note_names(state, key, MR_NOTE_KEPT, arena, &names, count, err));
    *out = find_marks(names, *count, committed);
    return MR_OK;
}

/* A question about the marks that hold with that epoch committed. */
static enum mr_status ask_marks(struct mr_state *state, const char *key, int64_t committed,
                                bool (*question)(const struct marks *marks, int64_t committed),
                                bool *answer, struct mr_error *err)
{
    struct mr_arena arena;
    struct marks marks = {0};
    int count = 0;
    mr_arena_init(&arena, NULL);
    enum mr_status status = read_marks(state, key, committed, &arena, &marks, &count, err);
    *answer = question(&marks, committed);
    mr_arena_reset(&arena);
    return status;
}

static bool is_any(const struct marks *marks, int64_t committed)
{
    (void)committed;
    return marks->base != NULL;
}

enum mr_status mr_kept_is_any(struct mr_state *state, const char *key, int64_t committed, bool *any,
                              struct mr_error *err)
{
    return ask_marks(state, key, committed, is_any, any, err);
}

enum mr_status mr_kept_is_known(struct mr_state *state, const char *key, bool *known,
                                struct mr_error *err)
{
    struct mr_arena arena;
    struct marks marks = {0};
    int count = 0;
    mr_arena_init(&arena, NULL);
    enum mr_status status = read_marks(state, key, INT64_MAX, &arena, &marks, &count, err);
    *known = count > 0;
    mr_arena_reset(&arena);
    return status;
}

/* What an epoch of this number saved, and never committed, would count with the batch run's record: it goes before. */
enum mr_status mr_kept_pass_over(struct mr_state *state, struct mr_lease *lease, const char *key,
                                 int64_t epoch, struct mr_error *err)
{
    struct mr_arena arena;
    struct marks marks = {0};
    struct mr_note missed = mark(MISSED, epoch);
    int count = 0;
    mr_arena_init(&arena, NULL);
    enum mr_status status = read_marks(state, key, epoch - 1, &arena, &marks, &count, err);
    if (status == MR_OK && count > 0)
        status = mr_state_drop_notes_from(lease, MR_NOTE_KEPT, epoch, err);
    /* A stream that was begun anew with --fresh has seen nothing yet, and was to see everything. */
    if (status == MR_OK && (marks.base != NULL || marks.fresh != NULL) && marks.missed == NULL)
        status = mr_state_put_note(lease, MR_NOTE_KEPT, &missed, err);
    mr_arena_reset(&arena);
    return status;
}

/* Only clocks may go on from an older place. */
static enum mr_status refuse_missed(const struct mr_kept *kept, struct mr_error *err)
{
    for (int i = 0; i < kept->nobjects; i++) {
        if (kept->objects[i].owner.clock)
            continue;
        mr_error_config(err,
                        "%s: epochs are committed of which the state does not have what this step "
                        "keeps (by a batch run, or --adopt), so it cannot go on from them",
                        kept->objects[i].label);
        mr_error_hint(err,
                      "restore the state of these epochs, or run once with --fresh: what steps "
                      "keep is forgotten then, and the stream begins anew");
        return MR_CONFIG;
    }
    return MR_OK;
}

struct mr_note_change mr_kept_forget(int64_t epoch)
{
    return (struct mr_note_change){MR_NOTE_KEPT, epoch, mark(FRESH, epoch)};
}

/* Is nothing kept because nothing was ever read, as far as this epoch? Else steps that keep something came later. */
static bool is_fresh(const struct marks *marks, int64_t committed)
{
    return committed == 0 || (marks->fresh != NULL && marks->fresh->epoch >= committed);
}

enum mr_status mr_kept_is_fresh(struct mr_state *state, const char *key, int64_t committed,
                                bool *fresh, struct mr_error *err)
{
    return ask_marks(state, key, committed, is_fresh, fresh, err);
}

enum mr_status mr_kept_withdraw(struct mr_state *state, const char *key, int64_t epoch,
                                int64_t before, struct mr_note_change *out, struct mr_error *err)
{
    struct mr_arena arena;
    struct marks marks = {0};
    int count = 0;
    mr_arena_init(&arena, NULL);
    *out = (struct mr_note_change){.kind = MR_NOTE_KEPT, .from = epoch};
    enum mr_status status = read_marks(state, key, epoch - 1, &arena, &marks, &count, err);
    if (marks.base == NULL && marks.missed == NULL && is_fresh(&marks, before))
        out->mark = mark(FRESH, epoch);
    mr_arena_reset(&arena);
    return status;
}

static enum mr_status read_from(struct mr_kept *kept, const struct mr_note *names, int count,
                                const struct mr_note *base, struct mr_arena *arena,
                                struct mr_error *err)
{
    struct mr_note note;
    struct mr_kept_owner *owners = NULL;
    struct sequence sequence = {0};
    int nowners = 0;
    MR_TRY(mr_state_note(kept->place.state, kept->place.key, MR_NOTE_KEPT, base->epoch, base->name,
                         arena, &note, err));
    MR_TRY(mr_kept_base_decode(note.bytes, arena, &owners, &nowners, err));
    MR_TRY(compare_owners(kept, owners, nowners, err));
    kept->has_base = true;
    kept->base_bytes = kept->later_bytes = kept->epochs = 0;
    int64_t epoch = base->epoch;
    for (int i = 0; i < count; i++) {
        if (names[i].epoch < base->epoch || strchr(names[i].name, '|') == NULL)
            continue;
        if (epoch == base->epoch && names[i].epoch > epoch) {
            kept->base_bytes = kept->later_bytes;
            kept->later_bytes = 0;
        }
        kept->epochs += names[i].epoch != epoch;
        epoch = names[i].epoch;
        MR_TRY(read_rows(kept, &names[i], &sequence, err));
    }
    if (epoch == base->epoch) {
        kept->base_bytes = kept->later_bytes;
        kept->later_bytes = 0;
    }
    return sequence.object == NULL ? MR_OK : mr_kept_damaged(err);
}

static enum mr_status restore(struct mr_kept *kept, int64_t committed, struct mr_error *err)
{
    struct mr_arena arena;
    struct mr_note *names = NULL;
    int count = 0;
    enum mr_status status = MR_OK;
    kept->has_base = false;
    mr_arena_init(&arena, NULL);
    MR_TRY_OUT(mr_state_drop_notes_from(kept->place.lease, MR_NOTE_KEPT, committed + 1, err));
    MR_TRY_OUT(mr_state_note_names(kept->place.state, kept->place.key, MR_NOTE_KEPT, &arena, &names,
                                   &count, err));
    struct marks marks = find_marks(names, count, committed);
    if (marks.missed != NULL)
        MR_TRY_OUT(refuse_missed(kept, err));
    if (marks.base != NULL)
        status = read_from(kept, names, count, marks.base, &arena, err);
    else if (!is_fresh(&marks, committed))
        status = compare_owners(kept, NULL, 0, err);
out:
    mr_arena_reset(&arena);
    return status;
}

/* ---- an epoch begins ---- */

/* All partitions that a measured frame comes from; 0 where a source does not say. */
static int count_origins(const struct mr_plan *plan, const struct mr_plan_measures *sources)
{
    int count = 0;
    for (int i = 0; sources != NULL && i < sources->count; i++) {
        int own = plan->nodes[sources->nodes[i]].splits.norigins;
        if (own == 0)
            return 0;
        count += own;
    }
    return count;
}

static enum mr_status begin_clock(const struct mr_plan *plan, const struct mr_plan_node *node,
                                  int64_t wall, struct mr_error *err)
{
    const struct mr_plan_measures *sources = node->measures;
    int count = count_origins(plan, sources), n = 0;
    const char **origins = mr_arena_calloc(plan->arena, (size_t)count + 1, sizeof *origins);
    if (origins == NULL)
        return mr_error_nomem(err);
    for (int i = 0; n < count; i++) {
        const struct mr_split_list *splits = &plan->nodes[sources->nodes[i]].splits;
        for (int k = 0; k < splits->norigins; k++)
            origins[n++] = splits->origins[k];
    }
    return mr_event_clock_begin(node->runtime->kept, wall, origins, count, err);
}

/* The clock of one input: of one node, or where several meet. */
static enum mr_status clock_of(struct mr_kept *kept, const struct mr_plan *plan,
                               const struct mr_plan_measures *measures, struct mr_event_clock **out,
                               struct mr_error *err)
{
    *out = NULL;
    if (measures->count == 0)
        return MR_OK;
    struct mr_event_clock **parts =
        mr_arena_calloc(plan->arena, (size_t)measures->count, sizeof *parts);
    if (parts == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < measures->count; i++) {
        const struct object *object = object_of(kept, plan, &plan->nodes[measures->nodes[i]]);
        if (object == NULL)
            return mr_error_internal(err, "a clock is missing");
        parts[i] = object->kept;
    }
    *out = parts[0];
    if (measures->count == 1)
        return MR_OK;
    struct mr_event_clock **grown =
        mr_realloc(kept->met, ((size_t)kept->nmet + 1) * sizeof(struct mr_event_clock *));
    if (grown == NULL)
        return mr_error_nomem(err);
    kept->met = grown;
    MR_TRY(mr_event_clock_combine(parts, measures->count, out, err));
    kept->met[kept->nmet++] = *out;
    return MR_OK;
}

static enum mr_status lend(struct mr_kept *kept, const struct mr_plan *plan,
                           struct mr_plan_node *node, int64_t wall, struct mr_error *err)
{
    if (keeps(node)) {
        const struct object *object = object_of(kept, plan, node);
        if (object == NULL || object->op != node->op)
            return mr_error_internal(err, "%s: the plan has changed from epoch to epoch",
                                     node->label);
        if (!mr_schema_equal(object->schema, node->op_info.kept)) {
            mr_error_config(err,
                            "%s: the columns that it is given have changed while the stream "
                            "was running",
                            node->label);
            mr_error_hint(err, "start it again");
            return MR_CONFIG;
        }
        node->runtime->kept = object->kept;
    }
    if (node->op->flags & MR_OP_MEASURES)
        return node->runtime->kept != NULL ? begin_clock(plan, node, wall, err) : MR_OK;
    if (node->measures == NULL)
        return MR_OK;
    struct mr_event_clock **clocks =
        mr_arena_calloc(plan->arena, (size_t)node->ninputs + 1, sizeof *clocks);
    if (clocks == NULL)
        return mr_error_nomem(err);
    for (int k = 0; k < node->ninputs; k++)
        MR_TRY(clock_of(kept, plan, &node->measures[k], &clocks[k], err));
    node->runtime->clocks = clocks;
    return MR_OK;
}

static enum mr_status begin(struct mr_kept *kept, struct mr_plan *plan, int64_t committed,
                            int64_t wall, struct mr_error *err)
{
    forget_met(kept);
    if (!kept->open) {
        MR_TRY(open_all(kept, plan, err));
        MR_TRY(restore(kept, committed, err));
        kept->open = true;
    }
    for (int i = 0; i < plan->nnodes; i++)
        if (plan->nodes[i].kind == MR_PLAN_OP)
            MR_TRY(lend(kept, plan, &plan->nodes[i], wall, err));
    return MR_OK;
}

enum mr_status mr_kept_begin(struct mr_kept *kept, struct mr_plan *plan, int64_t committed,
                             int64_t wall, struct mr_error *err)
{
    enum mr_status status = begin(kept, plan, committed, wall, err);
    if (status != MR_OK)
        mr_kept_discard(kept);
    return status;
}

bool mr_kept_due(const struct mr_kept *kept, int64_t now)
{
    for (int i = 0; i < kept->nobjects; i++) {
        const struct object *object = &kept->objects[i];
        if (object->op->keeper->due != NULL && object->op->keeper->due(object->kept, now))
            return true;
    }
    return false;
}

/* ---- for people ---- */

/* How far the inputs of a node have come: the smallest. */
static int64_t reached_by(struct mr_kept *kept, const struct mr_plan *plan,
                          const struct mr_plan_node *node)
{
    int64_t least = INT64_MAX;
    for (int k = 0; node->measures != NULL && k < node->ninputs; k++)
        for (int i = 0; i < node->measures[k].count; i++) {
            const struct object *clock =
                object_of(kept, plan, &plan->nodes[node->measures[k].nodes[i]]);
            int64_t reached =
                clock != NULL ? mr_event_clock_reached(clock->kept) : MR_WATERMARK_NONE;
            least = reached < least ? reached : least;
        }
    return least != INT64_MAX ? least : MR_WATERMARK_NONE;
}

bool mr_kept_figures(struct mr_kept *kept, const struct mr_plan *plan, int node,
                     struct mr_kept_figures *out)
{
    const struct mr_plan_node *of = &plan->nodes[node];
    const struct object *object = kept->open && keeps(of) ? object_of(kept, plan, of) : NULL;
    if (object == NULL)
        return false;
    bool clock = object->owner.clock;
    *out = (struct mr_kept_figures){
        .watermark = clock ? mr_event_clock_reached(object->kept) : reached_by(kept, plan, of),
        .keeps = !clock,
        .bytes = clock ? 0 : mr_memory_used(object->memory),
    };
    if (!clock && object->op->keeper->rows != NULL)
        out->rows = object->op->keeper->rows(object->kept);
    return true;
}

/* ---- saving ---- */

/* What a keeper emits into. */
struct saving {
    struct mr_emit base; /* first */
    struct mr_kept *kept;
    const struct object *object;
    int64_t epoch;
    int number;
    struct mr_arena arena; /* names */
    struct mr_bytes packed;
    struct mr_bytes *notes; /* not sent yet */
    const char **names;
    int count;
    int capacity;
    size_t bytes;
    int64_t piece, send; /* bytes of a note, and of those that are sent together */
};

/* Notes on their way are in no account: they take a small part of what is left in them. */
static void bound_notes(struct saving *saving)
{
    int64_t part = mr_memory_available(saving->kept->objects[0].memory) / 64;
    saving->piece = mr_clamp(part, PIECE_LEAST, PIECE_BYTES);
    saving->send = saving->piece * (SEND_BYTES / PIECE_BYTES);
}

static enum mr_status send_notes(struct saving *saving, struct mr_error *err)
{
    struct mr_note *notes = mr_calloc((size_t)saving->count + 1, sizeof *notes);
    if (notes == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < saving->count; i++)
        notes[i] = (struct mr_note){.epoch = saving->epoch,
                                    .name = saving->names[i],
                                    .bytes = {saving->notes[i].data, saving->notes[i].size}};
    enum mr_status status =
        mr_state_put_notes(saving->kept->place.lease, MR_NOTE_KEPT, notes, saving->count, err);
    for (int i = 0; i < saving->count; i++)
        mr_bytes_reset(&saving->notes[i]);
    saving->kept->saved_bytes += (int64_t)saving->bytes;
    mr_progressed(saving->kept->place.runtime);
    saving->count = 0;
    saving->bytes = 0;
    mr_free(notes);
    return status;
}

/* An empty note; what came before it is complete, and may be sent. */
static enum mr_status add_note(struct saving *saving, const char *name, struct mr_bytes **out,
                               struct mr_error *err)
{
    if (name == NULL)
        return mr_error_nomem(err);
    if ((int64_t)saving->bytes >= saving->send)
        MR_TRY(send_notes(saving, err));
    if (saving->count == saving->capacity) {
        int capacity = saving->capacity > 0 ? 2 * saving->capacity : 16;
        struct mr_bytes *notes =
            mr_realloc(saving->notes, (size_t)capacity * sizeof *saving->notes);
        if (notes != NULL)
            saving->notes = notes;
        const char **names = mr_realloc(saving->names, (size_t)capacity * sizeof(const char *));
        if (names != NULL)
            saving->names = names;
        if (notes == NULL || names == NULL)
            return mr_error_nomem(err);
        saving->capacity = capacity;
    }
    mr_bytes_init(&saving->notes[saving->count], NOTE_MAXIMUM);
    saving->names[saving->count] = name;
    *out = &saving->notes[saving->count++];
    return MR_OK;
}

static enum mr_status save_piece(struct saving *saving, const struct mr_batch *batch,
                                 struct mr_error *err)
{
    struct mr_kept *kept = saving->kept;
    struct mr_bytes *note;
    const char *name = mr_kept_rows_name(&saving->arena, &saving->object->owner, saving->number++);
    MR_TRY(add_note(saving, name, &note, err));
    MR_TRY(mr_kept_rows_encode(batch, kept->codec, &saving->packed, &kept->scratch, note, err));
    saving->bytes += note->size;
    mr_progressed(kept->place.runtime);
    return MR_OK;
}

static enum mr_status save_batch(struct saving *saving, struct mr_batch *batch,
                                 struct mr_error *err)
{
    struct mr_memory *memory = saving->object->memory;
    int64_t rows = mr_batch_active(batch), bytes = mr_batch_bytes(batch);
    int64_t piece = bytes > saving->piece ? rows / (bytes / saving->piece + 1) : rows;
    piece = piece > 0 ? piece : 1;
    for (int64_t at = 0; at < rows; at += piece) {
        struct mr_batch *part = NULL;
        MR_TRY(
            mr_batch_slice(memory, batch, at, rows - at < piece ? rows - at : piece, &part, err));
        enum mr_status status = save_piece(saving, part, err);
        mr_batch_unref(part);
        MR_TRY(status);
    }
    return MR_OK;
}

static enum mr_status emitted(struct mr_emit *emit, int port, struct mr_batch *batch,
                              struct mr_error *err)
{
    (void)port;
    struct saving *saving = (struct saving *)emit;
    enum mr_status status = mr_schema_equal(batch->schema, saving->object->schema)
                                ? save_batch(saving, batch, err)
                                : mr_error_internal(err, "rows to be kept of another schema");
    mr_batch_unref(batch);
    return status;
}

static enum mr_status save_object(struct saving *saving, const struct object *object,
                                  bool everything, struct mr_error *err)
{
    saving->object = object;
    saving->number = 0;
    enum mr_status status = object->op->keeper->save(object->kept, everything, &saving->base, err);
    if (status != MR_OK && err != NULL && err->where[0] == '\0')
        mr_error_where(err, "%s", object->label);
    if (status == MR_OK && saving->number > 0) /* the last one is here still */
        mr_kept_rows_mark_last(&saving->notes[saving->count - 1]);
    return status;
}

static enum mr_status save_base(struct saving *saving, struct mr_error *err)
{
    struct mr_kept *kept = saving->kept;
    struct mr_bytes *note;
    struct mr_kept_owner *owners =
        mr_arena_calloc(&saving->arena, (size_t)kept->nobjects + 1, sizeof *owners);
    if (owners == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < kept->nobjects; i++)
        owners[i] = kept->objects[i].owner;
    MR_TRY(add_note(saving, MR_KEPT_BASE, &note, err));
    mr_kept_base_encode(owners, kept->nobjects, note);
    saving->bytes += note->size;
    return mr_bytes_status(note, err);
}

static bool is_time_for_everything(const struct mr_kept *kept)
{
    return !kept->has_base || kept->later_bytes > kept->base_bytes + SMALL_BYTES ||
           (kept->epochs >= MANY_EPOCHS && kept->later_bytes > kept->base_bytes / 4) ||
           kept->epochs >= MOST_EPOCHS;
}

enum mr_status mr_kept_save(struct mr_kept *kept, int64_t epoch, struct mr_error *err)
{
    struct saving saving = {.base = {.batch = emitted}, .kept = kept, .epoch = epoch};
    enum mr_status status = MR_OK;
    kept->saved_bytes = 0;
    kept->saved_everything = is_time_for_everything(kept);
    if (kept->nobjects == 0)
        return MR_OK;
    mr_arena_init(&saving.arena, NULL);
    mr_bytes_init(&saving.packed, NOTE_MAXIMUM);
    bound_notes(&saving);
    for (int i = 0; i < kept->nobjects; i++)
        MR_TRY_OUT(save_object(&saving, &kept->objects[i], kept->saved_everything, err));
    if (kept->saved_everything)
        MR_TRY_OUT(save_base(&saving, err));
    status = saving.count > 0 ? send_notes(&saving, err) : MR_OK;
out:
    for (int i = 0; i < saving.count; i++)
        mr_bytes_reset(&saving.notes[i]);
    mr_free(saving.notes);
    mr_free(saving.names);
    mr_bytes_reset(&saving.packed);
    mr_arena_reset(&saving.arena);
    return status;
}

void mr_kept_committed(struct mr_kept *kept, int64_t epoch)
{
    if (kept->nobjects == 0)
        return;
    if (!kept->saved_everything) {
        kept->later_bytes += kept->saved_bytes;
        kept->epochs++;
        return;
    }
    kept->has_base = true;
    kept->base_bytes = kept->saved_bytes;
    kept->later_bytes = kept->epochs = 0;
    /* What stays is not read any more, and goes with the next base. */
    (void)mr_state_drop_notes(kept->place.lease, MR_NOTE_KEPT, epoch - 1, NULL);
}
