/*
 * transfer.h - many HTTP requests in flight, moved by a thread of their own.
 *
 * A task starts a transfer and goes on computing; bytes flow meanwhile. What is done comes back in
 * the mailbox that it was started with, whose descriptor the task waits for through mr_wait.
 */
#ifndef MR_NET_TRANSFER_H
#define MR_NET_TRANSFER_H

#include "net/http.h"

struct mr_transfers; /* the thread with its connections; any thread may start transfers */
struct mr_mailbox;   /* belongs to one thread at a time */

enum mr_transfer_state {
    MR_TRANSFER_IDLE,
    MR_TRANSFER_QUEUED,
    MR_TRANSFER_MOVING,
    MR_TRANSFER_ENDED, /* in the mailbox, or taken out of it */
};

/* Zero it, then set the request. */
struct mr_transfer {
    struct mr_http_request request; /* stays, with all that it points to, until it is done */
    struct mr_http_answer answer;   /* mr_http_answer_init before, mr_http_answer_reset after */
    enum mr_status status;          /* as mr_http_send gives it for one attempt */
    struct mr_error err;
    bool timed_out;               /* why it failed */
    bool done;                    /* the owner's: taken out of the mailbox */
    enum mr_transfer_state state; /* guarded by the lock of `transfers`, as is the next */
    bool cancelled;
    struct mr_transfers *transfers;
    struct mr_mailbox *mailbox;
    struct mr_transfer *next;
    struct mr_transfer_slot *slot;
};

/* At most `connections` requests move at once, the others queue. Options are copied. */
enum mr_status mr_transfers_new(const struct mr_http_options *options, int connections,
                                struct mr_transfers **out, struct mr_error *err);
/* From now on at most so many; never more than before. */
void mr_transfers_limit(struct mr_transfers *transfers, int connections);
/* Ends the thread. Nothing may be queued or moving. */
void mr_transfers_free(struct mr_transfers *transfers);
/* Most requests that moved at once. */
int mr_transfers_peak(struct mr_transfers *transfers);

enum mr_status mr_mailbox_new(struct mr_mailbox **out, struct mr_error *err);
void mr_mailbox_free(struct mr_mailbox *mailbox);
/*
 * Waits until something has ended or the deadline has passed, and takes all that has ended out:
 * `done`.
 */
enum mr_status mr_mailbox_wait(struct mr_mailbox *mailbox, struct mr_waiter *waiter,
                               int64_t deadline_micros, enum mr_wait_cause cause,
                               struct mr_error *err);
/* The same without waiting. */
void mr_mailbox_take(struct mr_mailbox *mailbox);

void mr_transfer_start(struct mr_transfers *transfers, struct mr_mailbox *mailbox,
                       struct mr_transfer *transfer);
/* Afterwards its buffers are the caller's again, whether it was done or not. Blocks for a moment. */
void mr_transfer_cancel(struct mr_transfer *transfer);

#endif
