/*
 * judge.c - whether the validations let a run pass.
 *
 * Decided from the totals over all tasks, after the last row and before the commit, so that neither the verdict nor its text depends
 * on timing.
 */
#include "run/judge.h"

enum mr_status mr_judge_validations(const struct mr_plan *plan, struct mr_error *err)
{
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        struct mr_op_counts *counts = node->op_info.counts;
        if (node->kind != MR_PLAN_OP || !counts)
            continue;
        int64_t failed = atomic_load(&counts->rows_failed);
        if (counts->limit < 0 || failed <= counts->limit)
            continue;
        struct mr_bytes text;
        mr_bytes_init(&text, 4096);
        for (int rule = 0; rule < counts->count; rule++) {
            long long broken = atomic_load(&counts->values[rule]);
            if (broken > 0)
                mr_bytes_printf(&text, "%s%s: %lld", text.size ? ", " : "", counts->names[rule],
                                broken);
        }
        mr_error_set(err, MR_VALIDATION, MR_CLASS_DATA, "%lld row%s broke the rules (%s)",
                     (long long)failed, failed == 1 ? "" : "s", text.data ? text.data : "");
        mr_error_where(err, "%s", node->step->label);
        mr_error_hint(err, "nothing was committed; onFailure drop or quarantine would let the good "
                           "rows pass, sampleFailures shows some of the bad ones");
        mr_bytes_reset(&text);
        return MR_VALIDATION;
    }
    return MR_OK;
}
