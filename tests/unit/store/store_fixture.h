/* One store and one actor, for tests of one thing at a time: each change in a transaction of its own. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_levels.h"
#include "log/record.h"
#include "os/sim.h"
#include "store/store_private.h"

/* Actor 7 of tenant 3. */
struct fixture {
	struct pd_os *os;
	struct fake_disk *disk;
	struct pd_store *store;
	struct pd_store_actor *actor;
	uint64_t lsn;
};

void open_store(struct fixture *fixture);
void open_fixture(struct fixture *fixture, bool levels);
void close_fixture(struct fixture *fixture);
/* An entry under "k<number>" at `to`. */
uint8_t *make_entry(uint8_t *to, unsigned number, size_t value_size, uint64_t expires_us);
struct pd_slice key_of(unsigned number, char text[16]);
void put_in_transaction(struct fixture *fixture, unsigned number, size_t value_size, uint64_t expires_us);
void put(struct fixture *fixture, unsigned number, size_t value_size, uint64_t expires_us);
int delete_key(struct fixture *fixture, unsigned number);
int delete_range(struct fixture *fixture, const char *from, const char *to);
bool holds(struct fixture *fixture, unsigned number, size_t value_size);
void flush(struct fixture *fixture);
size_t active_bytes(struct fixture *fixture);

#endif
