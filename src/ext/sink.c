/*
 * sink.c - what sinks say when their target has gone on without them.
 *
 * One text for all of them, because what is to be done does not depend on the target: two processes that are both right about their
 * state, one of which has a copy of it.
 */
#include "ext/sink.h"

enum mr_status mr_sink_overtaken(const char *target, int64_t ours, int64_t theirs,
                                 enum mr_error_class cls, struct mr_error *err)
{
    if (ours == theirs)
        mr_error_set(err, MR_SINK, cls,
                     "%s: epoch %lld is there of another run of the same state: the state was "
                     "copied, and both copies are in use",
                     target, (long long)ours);
    else
        mr_error_set(err, MR_SINK, cls,
                     "%s: epoch %lld of the same state is there and this commit is of epoch %lld: "
                     "the state was copied or is an old copy",
                     target, (long long)theirs, (long long)ours);
    mr_error_hint(err, "stop the other instance, or remove this state; then run with --adopt to go "
                       "on from what the target knows, or with --fresh to load everything again");
    return MR_SINK;
}
