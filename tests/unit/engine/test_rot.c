/* Rot at places where it could bring back what a crash took: whatever is flipped, a lost moment stays lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

#define SECTOR     512u
#define LAST_BYTES 8192u

/* Two epochs with something lost between them: the last group of the first, of so many records, is all there but for its
 * last sector, which holds nothing but zeros and a stamp. "k" was set to 2 there, and to 3 by the epoch after it. */
static void make(struct host *host, unsigned records)
{
	static const uint8_t zeros[SECTOR];
	const uint8_t *data;
	uint64_t size, last = 0;

	host_init(host);
	host->machine.direct_alignment = 4096;
	pd_sim_set_options(host->os, &host->machine);
	host_open(host);
	host_durable(host, "set k 1");
	for (unsigned i = 1; i < records; i++)
		assert_int_equal(host_run(host, "set k 2"), 0);
	host_durable(host, "set k 2");
	host_crash(host, true);
	assert_int_equal(pd_sim_content(host->os, "data/log/0000/0000000001.seg", &data, &size), 0);
	for (uint64_t sector = 0; sector < size / SECTOR; sector++)
		for (unsigned i = 0; i < SECTOR; i++)
			if (data[sector * SECTOR + i] != 0)
				last = sector;
	assert_int_equal(
		pd_sim_damage(host->os, "data/log/0000/0000000001.seg", last * SECTOR, zeros, SECTOR), 0);
	host_open(host);
	assert_int_equal(host->recovery.damage_count, 0);
	host_expect(host, "get k", "$1\r\n1\r\n");
	host_durable(host, "set k 3");
	host_power_cycle(host);
	host_expect(host, "get k", "$1\r\n3\r\n");
	host_durable(host, "set other 1");
	host_crash(host, true);
}

/* The open is refused, or the actor is not served, or it is right. */
static void assert_not_brought_back(struct host *host)
{
	if (host_try_open(host) != 0) {
		assert_int_equal(host->err.code, PD_CORRUPT);
		return;
	}
	if (host_run(host, "get k") == 0)
		assert_string_equal(host_reply(host), "$1\r\n3\r\n");
	host_crash(host, false);
}

static void test_every_bit_of_the_next_epoch(void **state)
{
	struct host host;

	(void)state;
	for (uint64_t offset = 0; offset < LAST_BYTES; offset += offset < 200 ? 1 : 97)
		for (unsigned bit = 0; bit < 8; bit += 3) {
			make(&host, 1 + (unsigned)offset % 3);
			assert_int_equal(
				pd_sim_flip_bit(host.os, "data/log/0000/0000000002.seg", offset, bit), 0);
			assert_not_brought_back(&host);
			host_done(&host);
		}
}

/* Whole pieces of it are gone, as after a write that the drive lost. */
static void test_pieces_of_the_next_epoch(void **state)
{
	static const uint8_t zeros[LAST_BYTES];
	static const unsigned sizes[] = { SECTOR, 4096, LAST_BYTES };
	struct host host;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (uint64_t offset = 0; offset < LAST_BYTES; offset += sizes[i])
			for (unsigned records = 1; records <= 3; records++) {
				make(&host, records);
				assert_int_equal(pd_sim_damage(host.os, "data/log/0000/0000000002.seg",
							       offset, zeros, sizes[i]),
						 0);
				assert_not_brought_back(&host);
				host_done(&host);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_of_the_next_epoch),
		cmocka_unit_test(test_pieces_of_the_next_epoch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
