/*
 * transfer.c - the thread that moves bytes while tasks compute.
 *
 * One thread owns a multi handle of curl with all its easy handles and connections; nobody else
 * calls curl. Tasks put transfers into a queue under the lock and are told through the eventfd of
 * their mailbox. So no descriptor of curl is shared, sanitizers need not see into curl, and a task
 * that encodes a row group for half a second does not hold up its uploads. The alternative, every
 * task pumping its own multi handle, stops all transfers while the task computes and cannot share
 * connections between tasks.
 *
 * Requests beyond the limit of connections wait in our queue and not in curl's, where time in the
 * queue would count against their time to connect.
 *
 * Signing, hashing, judging and retries are the task's: this thread copies bytes, and is fast
 * enough for several GB/s.
 */
#include "net/transfer.h"

#include "base/thread.h"
#include "net/exchange.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A place of the thread where one transfer moves. */
struct mr_transfer_slot {
    struct mr_exchange exchange;
    CURL *easy;
    struct mr_transfer *transfer; /* NULL = free */
    int number;
};

struct mr_transfers {
    struct mr_http_options options;
    CURLM *multi;
    struct mr_thread thread;
    /* The thread's own. */
    struct mr_transfer_slot **slots; /* made when first needed */
    int nslots;
    int moving;

    pthread_mutex_t lock;      /* guards what follows, and the states of transfers */
    pthread_cond_t settled;    /* a cancelled transfer has stopped */
    struct mr_transfer *first; /* queue */
    struct mr_transfer *last;
    int limit;       /* at most so many move; at most nslots */
    bool cancelling; /* some moving one is to stop */
    bool stop;
    int peak;
};

struct mr_mailbox {
    int fd;
    pthread_mutex_t lock; /* guards `ended` */
    struct mr_transfer *ended;
};

/* --- mailboxes --- */

enum mr_status mr_mailbox_new(struct mr_mailbox **out, struct mr_error *err)
{
    *out = NULL;
    struct mr_mailbox *mailbox = mr_calloc(1, sizeof *mailbox);
    if (!mailbox)
        return mr_error_nomem(err);
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd < 0) {
        mr_free(mailbox);
        return mr_error_errno(err, MR_LIMIT, errno, "eventfd");
    }
    mr_mutex_init(&mailbox->lock);
    *out = mailbox;
    return MR_OK;
}

void mr_mailbox_free(struct mr_mailbox *mailbox)
{
    if (!mailbox)
        return;
    close(mailbox->fd);
    pthread_mutex_destroy(&mailbox->lock);
    mr_free(mailbox);
}

static void post(struct mr_mailbox *mailbox, struct mr_transfer *transfer)
{
    uint64_t one = 1;
    pthread_mutex_lock(&mailbox->lock);
    transfer->next = mailbox->ended;
    mailbox->ended = transfer;
    /* Under the lock: who takes the last one may free the mailbox at once. */
    ssize_t written = write(mailbox->fd, &one, sizeof one);
    (void)written; /* can only fail when it is readable already */
    pthread_mutex_unlock(&mailbox->lock);
}

void mr_mailbox_take(struct mr_mailbox *mailbox)
{
    uint64_t count;
    pthread_mutex_lock(&mailbox->lock);
    ssize_t seen = read(mailbox->fd, &count, sizeof count);
    (void)seen;
    struct mr_transfer *transfer = mailbox->ended;
    mailbox->ended = NULL;
    pthread_mutex_unlock(&mailbox->lock);
    while (transfer) {
        struct mr_transfer *next = transfer->next;
        transfer->next = NULL;
        transfer->done = true;
        transfer = next;
    }
}

enum mr_status mr_mailbox_wait(struct mr_mailbox *mailbox, struct mr_waiter *waiter,
                               int64_t deadline_micros, enum mr_wait_cause cause,
                               struct mr_error *err)
{
    MR_TRY(mr_wait(waiter, mailbox->fd, MR_WAIT_READ, deadline_micros, cause, NULL, err));
    mr_mailbox_take(mailbox);
    return MR_OK;
}

/* --- the thread --- */

/* The next of the queue. Caller holds the lock. */
static struct mr_transfer *dequeue(struct mr_transfers *transfers)
{
    struct mr_transfer *transfer = transfers->first;
    if (transfer) {
        transfers->first = transfer->next;
        if (!transfers->first)
            transfers->last = NULL;
        transfer->next = NULL;
        transfer->state = MR_TRANSFER_MOVING;
    }
    return transfer;
}

static void ended(struct mr_transfers *transfers, struct mr_transfer *transfer,
                  enum mr_status status)
{
    transfer->status = status;
    transfer->slot = NULL;
    pthread_mutex_lock(&transfers->lock);
    bool cancelled = transfer->cancelled;
    transfer->state = cancelled ? MR_TRANSFER_IDLE : MR_TRANSFER_ENDED;
    if (cancelled)
        pthread_cond_broadcast(&transfers->settled);
    pthread_mutex_unlock(&transfers->lock);
    if (!cancelled) /* a cancelled one is its owner's again, and perhaps gone */
        post(transfer->mailbox, transfer);
}

static struct mr_transfer_slot *free_slot(struct mr_transfers *transfers)
{
    for (int i = 0; i < transfers->nslots; i++) {
        if (!transfers->slots[i]) {
            struct mr_transfer_slot *slot = mr_calloc(1, sizeof *slot);
            if (!slot)
                return NULL;
            slot->easy = curl_easy_init();
            if (!slot->easy) {
                mr_free(slot);
                return NULL;
            }
            slot->exchange.http_1 = true;
            transfers->slots[i] = slot;
        }
        if (!transfers->slots[i]->transfer)
            return transfers->slots[i];
    }
    return NULL;
}

static void begin(struct mr_transfers *transfers, struct mr_transfer *transfer)
{
    struct mr_transfer_slot *slot = free_slot(transfers);
    if (!slot) {
        ended(transfers, transfer, mr_error_nomem(&transfer->err));
        return;
    }
    enum mr_status status = mr_exchange_open(&slot->exchange, slot->easy, &transfers->options,
                                             &transfer->request, &transfer->answer, &transfer->err);
    if (status != MR_OK) {
        ended(transfers, transfer, status);
        return;
    }
    curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
    slot->transfer = transfer;
    transfer->slot = slot;
    if (curl_multi_add_handle(transfers->multi, slot->easy) != CURLM_OK) {
        mr_exchange_close(&slot->exchange);
        slot->transfer = NULL;
        ended(transfers, transfer, mr_error_nomem(&transfer->err));
        return;
    }
    transfers->moving++;
}

static void leave(struct mr_transfers *transfers, struct mr_transfer_slot *slot, bool cancelled,
                  CURLcode code)
{
    struct mr_transfer *transfer = slot->transfer;
    enum mr_status status = MR_CANCELLED;
    curl_multi_remove_handle(transfers->multi, slot->easy);
    if (cancelled) {
        mr_exchange_close(&slot->exchange);
    } else {
        transfer->timed_out = code == CURLE_OPERATION_TIMEDOUT;
        status = mr_exchange_end(&slot->exchange, code, &transfer->err);
    }
    slot->transfer = NULL;
    transfers->moving--;
    ended(transfers, transfer, status);
}

static bool is_cancelled(struct mr_transfers *transfers, struct mr_transfer *transfer)
{
    pthread_mutex_lock(&transfers->lock);
    bool cancelled = transfer->cancelled;
    pthread_mutex_unlock(&transfers->lock);
    return cancelled;
}

/* New ones begin, cancelled ones stop. False: the thread is to end. */
static bool take_orders(struct mr_transfers *transfers)
{
    pthread_mutex_lock(&transfers->lock);
    bool stop = transfers->stop;
    bool cancelling = transfers->cancelling;
    transfers->cancelling = false;
    pthread_mutex_unlock(&transfers->lock);
    for (int i = 0; cancelling && i < transfers->nslots; i++) {
        struct mr_transfer_slot *slot = transfers->slots[i];
        if (slot && slot->transfer && is_cancelled(transfers, slot->transfer))
            leave(transfers, slot, true, CURLE_OK);
    }
    for (;;) {
        pthread_mutex_lock(&transfers->lock);
        struct mr_transfer *transfer =
            transfers->moving < transfers->limit ? dequeue(transfers) : NULL;
        if (transfer && transfers->moving + 1 > transfers->peak)
            transfers->peak = transfers->moving + 1;
        pthread_mutex_unlock(&transfers->lock);
        if (!transfer)
            break;
        begin(transfers, transfer);
    }
    return !stop;
}

static void pump(void *context)
{
    struct mr_transfers *transfers = context;
    while (take_orders(transfers)) {
        int running, left;
        bool ended_one = false;
        curl_multi_perform(transfers->multi, &running);
        for (CURLMsg *message; (message = curl_multi_info_read(transfers->multi, &left)) != NULL;) {
            struct mr_transfer_slot *slot = NULL;
            CURLcode code = message->data.result;
            if (message->msg != CURLMSG_DONE)
                continue;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
            leave(transfers, slot, false, code);
            ended_one = true;
        }
        if (!ended_one)
            curl_multi_poll(transfers->multi, NULL, 0, 10000, NULL);
    }
}

/* --- for tasks --- */

enum mr_status mr_transfers_new(const struct mr_http_options *options, int connections,
                                struct mr_transfers **out, struct mr_error *err)
{
    *out = NULL;
    struct mr_transfers *transfers = mr_calloc(1, sizeof *transfers);
    if (!transfers)
        return mr_error_nomem(err);
    transfers->options = *options;
    transfers->nslots = transfers->limit = connections;
    mr_mutex_init(&transfers->lock);
    mr_cond_init(&transfers->settled);
    enum mr_status status = MR_OK;
    transfers->slots = mr_calloc((size_t)connections, sizeof(struct mr_transfer_slot *));
    CURL *first = curl_easy_init(); /* before curl_multi_init: sets curl up, from any thread */
    transfers->multi = first ? curl_multi_init() : NULL;
    curl_easy_cleanup(first);
    if (!transfers->slots || !transfers->multi)
        status = mr_error_nomem(err);
    if (status == MR_OK) {
        curl_multi_setopt(transfers->multi, CURLMOPT_MAXCONNECTS, (long)connections);
        curl_multi_setopt(transfers->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
        status = mr_thread_start(&transfers->thread, "transfers", pump, transfers, err);
    }
    if (status == MR_OK)
        *out = transfers;
    else
        mr_transfers_free(transfers);
    return status;
}

void mr_transfers_free(struct mr_transfers *transfers)
{
    if (!transfers)
        return;
    if (transfers->thread.running) {
        pthread_mutex_lock(&transfers->lock);
        transfers->stop = true;
        pthread_mutex_unlock(&transfers->lock);
        curl_multi_wakeup(transfers->multi);
        mr_thread_join(&transfers->thread);
    }
    for (int i = 0; transfers->slots && i < transfers->nslots; i++) {
        if (transfers->slots[i]) {
            curl_easy_cleanup(transfers->slots[i]->easy);
            mr_free(transfers->slots[i]);
        }
    }
    if (transfers->multi)
        curl_multi_cleanup(transfers->multi);
    mr_free(transfers->slots);
    pthread_cond_destroy(&transfers->settled);
    pthread_mutex_destroy(&transfers->lock);
    mr_free(transfers);
}

void mr_transfers_limit(struct mr_transfers *transfers, int connections)
{
    pthread_mutex_lock(&transfers->lock);
    if (connections > 0 && connections < transfers->limit)
        transfers->limit = connections;
    pthread_mutex_unlock(&transfers->lock);
}

int mr_transfers_peak(struct mr_transfers *transfers)
{
    pthread_mutex_lock(&transfers->lock);
    int peak = transfers->peak;
    pthread_mutex_unlock(&transfers->lock);
    return peak;
}

void mr_transfer_start(struct mr_transfers *transfers, struct mr_mailbox *mailbox,
                       struct mr_transfer *transfer)
{
    transfer->transfers = transfers;
    transfer->mailbox = mailbox;
    transfer->next = NULL;
    transfer->cancelled = false;
    transfer->timed_out = false;
    transfer->done = false;
    transfer->status = MR_OK;
    pthread_mutex_lock(&transfers->lock);
    transfer->state = MR_TRANSFER_QUEUED;
    if (transfers->last)
        transfers->last->next = transfer;
    else
        transfers->first = transfer;
    transfers->last = transfer;
    pthread_mutex_unlock(&transfers->lock);
    curl_multi_wakeup(transfers->multi);
}

/* Takes it out of the queue. Caller holds the lock. */
static void unqueue(struct mr_transfers *transfers, const struct mr_transfer *transfer)
{
    struct mr_transfer *before = NULL;
    for (struct mr_transfer *at = transfers->first; at; before = at, at = at->next) {
        if (at != transfer)
            continue;
        *(before ? &before->next : &transfers->first) = at->next;
        if (transfers->last == at)
            transfers->last = before;
        return;
    }
}

void mr_transfer_cancel(struct mr_transfer *transfer)
{
    struct mr_transfers *transfers = transfer->transfers;
    if (!transfers)
        return;
    pthread_mutex_lock(&transfers->lock);
    if (transfer->state == MR_TRANSFER_QUEUED) {
        unqueue(transfers, transfer);
        transfer->state = MR_TRANSFER_IDLE;
    } else if (transfer->state == MR_TRANSFER_MOVING) {
        transfer->cancelled = true;
        transfers->cancelling = true;
        curl_multi_wakeup(transfers->multi);
        while (transfer->state == MR_TRANSFER_MOVING)
            mr_cond_wait(&transfers->settled, &transfers->lock, INT64_MAX);
    }
    bool in_box = transfer->state == MR_TRANSFER_ENDED;
    pthread_mutex_unlock(&transfers->lock);
    if (in_box) {
        /* Between the state and the box is a moment; take until it is there. */
        while (!transfer->done)
            mr_mailbox_take(transfer->mailbox);
    }
}
