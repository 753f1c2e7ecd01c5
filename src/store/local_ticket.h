/*
 * local_ticket.h - what describes a staged object to another process.
 */
#ifndef MR_STORE_LOCAL_TICKET_H
#define MR_STORE_LOCAL_TICKET_H

#include "base/bytes.h"

struct local_ticket {
    struct mr_slice path; /* relative to the root */
    struct mr_slice tag;
    struct mr_slice token; /* "" in those of older versions */
    int64_t size;
    uint32_t crc; /* of all bytes */
};

void local_ticket_write(const struct local_ticket *ticket, struct mr_bytes *out);
/* Borrows from `data`. */
enum mr_status local_ticket_read(struct mr_slice data, struct local_ticket *out,
                                 struct mr_error *err);

#endif
