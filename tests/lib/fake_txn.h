/* A transaction without an engine: model/txn.h over memtables, for tests of models. Nothing is logged and nothing can be
 * taken back; time is what the test says. Expired entries stay until they are overwritten or deleted. */
#ifndef PD_TESTS_LIB_FAKE_TXN_H
#define PD_TESTS_LIB_FAKE_TXN_H

#include "model/txn.h"

/* Its time is 1,700,000,000 s after 1970; the session sees all actors, "main" is current. Aborts without memory. */
struct pd_txn *pd_fake_txn_new(void);
void pd_fake_txn_free(struct pd_txn *txn);

/* End the transaction and begin the next, with the next LSN: entries that were replaced are freed now. */
void pd_fake_txn_next(struct pd_txn *txn);
void pd_fake_txn_set_time_us(struct pd_txn *txn, uint64_t now_us);
void pd_fake_txn_seed(struct pd_txn *txn, uint64_t seed);
/* Make an actor current, and the only one that the session sees; "" for all again, with "main" current. */
void pd_fake_txn_use(struct pd_txn *txn, const char *actor);
/* From which size on strings are kept in chunks, and how large these are; at first 256 KiB and 64 KiB. */
void pd_fake_txn_set_large(struct pd_txn *txn, uint64_t least, uint64_t chunk);
/* What pd_txn_room() may give; at first everything. */
void pd_fake_txn_set_room(struct pd_txn *txn, uint64_t most);
/* Write bytes as chunks that no head names yet, as the engine does while an argument arrives. `actor` is there already. */
struct pd_staged pd_fake_txn_stage(struct pd_txn *txn, const char *actor, struct pd_slice bytes);
/* Entries of all actors in a space, expired ones included: nothing may be left behind. */
uint64_t pd_fake_txn_count(struct pd_txn *txn, enum pd_space space);
/* The LSN of a key as a client writes it; 0: there is none. */
uint64_t pd_fake_txn_lsn(struct pd_txn *txn, const char *name);
/* Calls of pd_txn_get(), pd_txn_put() and the deletes since the transaction began. */
struct pd_fake_txn_calls {
	unsigned gets, puts, deletes;
};
/* What was told since the last call, or since the transaction began, "set a;del b;", valid until the next. */
const char *pd_fake_txn_events(struct pd_txn *txn);
struct pd_fake_txn_calls pd_fake_txn_calls(const struct pd_txn *txn);

#endif
