/*
 * toy_op.h - two operators that use every member of the contract.
 */
#ifndef MR_TESTS_CONTRACT_TOY_OP_H
#define MR_TESTS_CONTRACT_TOY_OP_H

#include "ext/op.h"

/*
 * Balances: credits come on port 0, debits on port 1, both (key STRING, amount BIGINT, t TIMESTAMP). A breaker: a sum per key; rows
 * without a key go to the side output. pull gives (key, balance).
 */
extern const struct mr_op toy_balance;

/* Rows of port 0 whose key occurred on port 1 (the build side), at most `limit` of them. Streaming. */
extern const struct mr_op toy_lookup;

#endif
