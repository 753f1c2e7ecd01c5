/*
 * replay.c - which of the actions of a log count.
 *
 * The newest says what is: protocol, metadata, each txn, each domain, and each logical file (path
 * and deletion vector). The log is therefore put in from its end, and a hash table remembers what
 * has been said; a checkpoint, by far the largest part, comes last and is looked up only.
 */
#include "connect/delta/private.h"

#define FIRST_SLOTS 1024

enum mr_status delta_replay_init(struct delta_replay *replay, struct mr_arena *arena,
                                 struct mr_error *err)
{
    *replay = (struct delta_replay){.arena = arena, .nslots = FIRST_SLOTS};
    replay->slots = mr_arena_calloc(arena, FIRST_SLOTS, sizeof *replay->slots);
    return replay->slots ? MR_OK : mr_error_nomem(err);
}

static void place(struct delta_replay *replay, uint64_t hash, uint32_t number)
{
    size_t at = hash & (replay->nslots - 1);
    while (replay->slots[at])
        at = (at + 1) & (replay->nslots - 1);
    replay->slots[at] = number;
}

static enum mr_status grow(struct delta_replay *replay, struct mr_error *err)
{
    if (replay->count == replay->capacity) {
        int64_t capacity = replay->capacity ? replay->capacity * 2 : FIRST_SLOTS / 2;
        struct delta_entry **more = mr_arena_calloc(replay->arena, (size_t)capacity, sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (replay->count)
            memcpy(more, replay->entries, (size_t)replay->count * sizeof *more);
        replay->entries = more;
        replay->capacity = capacity;
    }
    if ((size_t)replay->count * 2 < replay->nslots)
        return MR_OK;
    if (replay->count > INT32_MAX / 2)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG, "the table has too many files");
    replay->slots = mr_arena_calloc(replay->arena, replay->nslots * 2, sizeof *replay->slots);
    if (!replay->slots)
        return mr_error_nomem(err);
    replay->nslots *= 2;
    for (int64_t i = 0; i < replay->count; i++)
        place(replay, replay->entries[i]->hash, (uint32_t)i + 1);
    return MR_OK;
}

enum mr_status delta_replay_entry(struct delta_replay *replay, struct delta_entry *entry,
                                  struct mr_error *err)
{
    size_t at = entry->hash & (replay->nslots - 1);
    for (; replay->slots[at]; at = (at + 1) & (replay->nslots - 1)) {
        const struct delta_entry *other = replay->entries[replay->slots[at] - 1];
        if (other->hash == entry->hash && delta_file_same(&other->file, &entry->file))
            return MR_OK;
    }
    MR_TRY(grow(replay, err));
    replay->entries[replay->count++] = entry;
    place(replay, entry->hash, (uint32_t)replay->count);
    return MR_OK;
}

enum mr_status delta_replay_txn(struct delta_replay *replay, const struct delta_txn *txn,
                                struct mr_error *err)
{
    for (int i = 0; i < replay->ntxns; i++) {
        if (strcmp(replay->txns[i].app_id, txn->app_id) == 0)
            return MR_OK;
    }
    if (replay->ntxns == replay->txn_capacity) {
        int capacity = replay->txn_capacity ? replay->txn_capacity * 2 : 16;
        struct delta_txn *more = mr_arena_calloc(replay->arena, (size_t)capacity, sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (replay->ntxns)
            memcpy(more, replay->txns, (size_t)replay->ntxns * sizeof *more);
        replay->txns = more;
        replay->txn_capacity = capacity;
    }
    replay->txns[replay->ntxns++] = *txn;
    return MR_OK;
}

enum mr_status delta_replay_domain(struct delta_replay *replay, const struct delta_domain *domain,
                                   struct mr_error *err)
{
    for (int i = 0; i < replay->ndomains; i++) {
        if (strcmp(replay->domains[i].domain, domain->domain) == 0)
            return MR_OK;
    }
    if (replay->ndomains == replay->domain_capacity) {
        int capacity = replay->domain_capacity ? replay->domain_capacity * 2 : 16;
        struct delta_domain *more = mr_arena_calloc(replay->arena, (size_t)capacity, sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (replay->ndomains)
            memcpy(more, replay->domains, (size_t)replay->ndomains * sizeof *more);
        replay->domains = more;
        replay->domain_capacity = capacity;
    }
    replay->domains[replay->ndomains++] = *domain;
    return MR_OK;
}

enum mr_status delta_replay_actions(struct delta_replay *replay,
                                    const struct delta_actions *actions, struct mr_error *err)
{
    if (!replay->protocol)
        replay->protocol = actions->protocol;
    if (!replay->metadata)
        replay->metadata = actions->metadata;
    for (int i = actions->nentries; i-- > 0;)
        MR_TRY(delta_replay_entry(replay, &actions->entries[i], err));
    for (int i = actions->ntxns; i-- > 0;)
        MR_TRY(delta_replay_txn(replay, &actions->txns[i], err));
    for (int i = actions->ndomains; i-- > 0;)
        MR_TRY(delta_replay_domain(replay, &actions->domains[i], err));
    return MR_OK;
}
