/* The brake on its own curve, and in front of a simulated machine: memtables that are frozen and flushed, files that pile up in
 * level 0 and are compacted, all at some speed. Whatever is offered, the debts stay below their hard marks, what passes is
 * about what can be taken away, and nobody waits long at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/brake.h"

#define MIB     ((uint64_t)1024 * 1024)
#define GIB     (1024 * MIB)
#define SECOND  ((uint64_t)1000000)
#define LOOK_US 100000u

/* ---- the curve ---- */

static struct pd_brake brake_at(const struct pd_brake_facts *facts)
{
	struct pd_brake_options options = PD_BRAKE_OPTIONS_DEFAULT;
	struct pd_brake brake;

	pd_brake_init(&brake, &options);
	pd_brake_update(&brake, 1, facts);
	return brake;
}

static uint64_t rate_at(const struct pd_brake_facts *facts)
{
	return brake_at(facts).rate;
}

/* Facts with one debt at `part` of the way to its hard mark, in thousandths; below 0: below the soft mark. */
static struct pd_brake_facts debt(int which, int part)
{
	struct pd_brake_options options = PD_BRAKE_OPTIONS_DEFAULT;
	struct pd_brake_facts facts = { .memtable_limit_bytes = 2000 * MIB };

	switch (which) {
	case 0:
		facts.memtable_bytes = (uint64_t)(1000 + part) * MIB;
		break;
	case 1:
		facts.level0_files = (uint64_t)((int)options.level0_soft +
						(int)(options.level0_hard - options.level0_soft) * part /
							1000);
		break;
	default:
		facts.pending_compaction_bytes = options.pending_soft +
						 (options.pending_hard - options.pending_soft) / 1000 *
							 (uint64_t)(part > 0 ? part : 0);
		break;
	}
	return facts;
}

static void below_the_soft_marks_there_is_no_limit(void **state)
{
	struct pd_brake_facts facts = { 0 };

	(void)state;
	assert_true(rate_at(&facts) == PD_BRAKE_NONE);
	for (int which = 0; which < 3; which++) {
		facts = debt(which, 0);
		assert_true(rate_at(&facts) == PD_BRAKE_NONE);
	}
	facts = debt(0, -500);
	assert_true(rate_at(&facts) == PD_BRAKE_NONE);
}

/* From the soft mark to the hard one it only falls, from far more than anybody offers, and never by a leap. */
static void the_curve_has_no_cliff(void **state)
{
	(void)state;
	for (int which = 0; which < 3; which += 2) {
		uint64_t before = 0;

		for (int part = 1; part <= 999; part++) {
			struct pd_brake_facts facts = debt(which, part);
			uint64_t rate = rate_at(&facts);

			if (part == 1)
				assert_true(rate > 3 * GIB);
			else
				assert_true(rate <= before &&
					    (rate > before / 2 || rate == PD_BRAKE_TRICKLE));
			assert_true(rate >= PD_BRAKE_TRICKLE);
			before = rate;
		}
		assert_true(before == PD_BRAKE_TRICKLE);
	}
}

static void at_the_hard_marks_there_is_a_trickle(void **state)
{
	struct pd_brake_facts facts;

	(void)state;
	for (int over = 0; over < 3; over++) {
		facts = debt(1, 1000 + 500 * over);
		assert_true(rate_at(&facts) == PD_BRAKE_TRICKLE);
		facts = debt(2, 1000 + 500 * over);
		assert_true(rate_at(&facts) == PD_BRAKE_TRICKLE);
		/* Only memory has an end. */
		facts = debt(0, 1000 + 500 * over);
		assert_int_equal(rate_at(&facts), 0);
	}
	/* The greatest debt counts. */
	facts = debt(1, 1000);
	facts.memtable_limit_bytes = 1000;
	facts.memtable_bytes = 600;
	assert_true(rate_at(&facts) == PD_BRAKE_TRICKLE);
}

static void debts_without_a_mark_do_not_matter(void **state)
{
	struct pd_brake_options options = { .memory_soft_percent = 50 };
	struct pd_brake_facts facts = { .memtable_bytes = GIB,
					.level0_files = 100000,
					.pending_compaction_bytes = 1000 * GIB };
	struct pd_brake brake;

	(void)state;
	pd_brake_init(&brake, &options);
	assert_int_equal(pd_brake_take(&brake, 0, GIB), 0); /* nothing is known yet */
	pd_brake_update(&brake, 1, &facts);
	assert_true(brake.rate == PD_BRAKE_NONE);
	assert_int_equal(pd_brake_take(&brake, 1, GIB), 0);
}

/* What is written between two looks counts at once; a full memory lets nothing pass until some of it is free. */
static void memory_is_followed_byte_by_byte(void **state)
{
	struct pd_brake_facts facts = { .memtable_limit_bytes = 100 * MIB, .memtable_bytes = 40 * MIB };
	struct pd_brake brake = brake_at(&facts);

	(void)state;
	assert_true(brake.rate == PD_BRAKE_NONE);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pd_brake_take(&brake, 2, MIB / 2), 0);
	assert_int_equal(pd_brake_take(&brake, 2, 0), 0);
	assert_true(brake.rate == PD_BRAKE_NONE);
	pd_brake_note(&brake, MIB);
	(void)pd_brake_wait_us(&brake, 2);
	assert_true(brake.rate < 2 * GIB);
	pd_brake_note(&brake, 60 * MIB);
	for (uint64_t now = 3; now < 10 * SECOND; now += SECOND)
		assert_int_equal(pd_brake_take(&brake, now, 1), PD_BRAKE_WAIT_US_MAX);
	facts.memtable_bytes = 30 * MIB;
	pd_brake_update(&brake, 11 * SECOND, &facts);
	assert_int_equal(pd_brake_take(&brake, 11 * SECOND, 1), 0);
}

/* With nothing flowing off, what is left of the memory must last: it brakes from the first byte. */
static void failing_levels_brake_early(void **state)
{
	struct pd_brake_facts facts = { .memtable_limit_bytes = 100 * MIB,
					.memtable_bytes = 30 * MIB,
					.failing = true };
	uint64_t early, late;

	(void)state;
	early = rate_at(&facts);
	facts.memtable_bytes = 90 * MIB;
	late = rate_at(&facts);
	assert_true(early < GIB && late < early / 10 && late >= PD_BRAKE_TRICKLE);
	facts.failing = false;
	assert_true(rate_at(&facts) > late);
}

/* A clock that stands still or a caller that asks twice changes nothing. */
static void asking_costs_nothing(void **state)
{
	struct pd_brake_facts facts = { .memtable_limit_bytes = 100 * MIB, .memtable_bytes = 75 * MIB };
	struct pd_brake brake = brake_at(&facts);
	uint64_t wait;

	(void)state;
	while (pd_brake_take(&brake, 5, 4096) == 0)
		;
	wait = pd_brake_wait_us(&brake, 5);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(pd_brake_take(&brake, 5, 4096), wait);
	assert_true(wait >= 500 && wait <= PD_BRAKE_WAIT_US_MAX);
	assert_int_equal(pd_brake_take(&brake, 5 + wait, 4096), 0);
}

/* ---- a machine ---- */

#define MEMTABLE (32 * MIB)
#define QUEUE    64

struct machine {
	struct pd_brake brake;
	uint64_t now_us, looked_us;
	uint64_t limit;                           /* of memory */
	double flush_rate, compact_rate;          /* bytes a second */
	uint64_t active, frozen[QUEUE], flushing; /* bytes; flushing: of frozen[0], done */
	unsigned frozen_count;
	uint64_t flushed;
	unsigned level0, compacting; /* files; of them being compacted */
	double compacted;            /* bytes of these, done */
	double amplification;        /* bytes to rewrite for each that is flushed */
	bool smooth;                 /* files go down at once, and the debt lies in the levels below */
	double pending;              /* bytes, if it is smooth */

	/* What was seen. */
	uint64_t passed, longest_wait, most_memory, full_us;
	unsigned most_level0;
	double most_pending;
};

static void machine_init(struct machine *machine, uint64_t limit, double flush_rate, double compact_rate)
{
	struct pd_brake_options options = PD_BRAKE_OPTIONS_DEFAULT;

	*machine = (struct machine){
		.limit = limit, .flush_rate = flush_rate, .compact_rate = compact_rate, .amplification = 8
	};
	pd_brake_init(&machine->brake, &options);
}

static uint64_t frozen_bytes(const struct machine *machine)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < machine->frozen_count; i++)
		bytes += machine->frozen[i];
	return bytes;
}

static void flush_for(struct machine *machine, uint64_t us)
{
	if (machine->frozen_count == 0)
		return;
	machine->flushing += (uint64_t)(machine->flush_rate * (double)us / (double)SECOND);
	if (machine->flushing < machine->frozen[0])
		return;
	machine->flushed += machine->frozen[0];
	machine->flushing = 0;
	machine->frozen_count--;
	memmove(machine->frozen, machine->frozen + 1, machine->frozen_count * sizeof machine->frozen[0]);
	if (machine->smooth)
		machine->pending += (double)MEMTABLE * machine->amplification;
	else
		machine->level0++;
}

/* All files of level 0 at once, as RocksDB does it: the debt falls by leaps. */
static void compact_for(struct machine *machine, uint64_t us)
{
	if (machine->smooth)
		machine->pending -= machine->compact_rate * machine->amplification * (double)us /
				    (double)SECOND;
	if (machine->pending < 0)
		machine->pending = 0;
	if (machine->compact_rate <= 0)
		machine->level0 = 0;
	if (machine->compacting == 0 && machine->level0 >= 4)
		machine->compacting = machine->level0;
	if (machine->compacting == 0)
		return;
	machine->compacted += machine->compact_rate * (double)us / (double)SECOND;
	if (machine->compacted < (double)(machine->compacting * MEMTABLE))
		return;
	machine->level0 -= machine->compacting;
	machine->compacting = 0;
	machine->compacted = 0;
}

static void look(struct machine *machine)
{
	struct pd_brake_facts facts = {
		.memtable_bytes = machine->active + frozen_bytes(machine),
		.memtable_limit_bytes = machine->limit,
		.frozen_bytes = frozen_bytes(machine),
		.flushed_bytes = machine->flushed,
		.level0_files = machine->level0,
		.pending_compaction_bytes = (uint64_t)(machine->smooth ? machine->pending
								       : (double)(machine->level0 * MEMTABLE))
	};

	pd_brake_update(&machine->brake, machine->now_us, &facts);
	machine->looked_us = machine->now_us;
}

/* Time goes by. */
static void advance(struct machine *machine, uint64_t us)
{
	while (us > 0) {
		uint64_t left = LOOK_US - (machine->now_us - machine->looked_us);
		uint64_t step = us < left ? us : left;
		uint64_t memory;

		if (step > 1000)
			step = 1000;
		flush_for(machine, step);
		compact_for(machine, step);
		machine->now_us += step;
		us -= step;
		memory = machine->active + frozen_bytes(machine);
		machine->most_memory = memory > machine->most_memory ? memory : machine->most_memory;
		machine->full_us += memory >= machine->limit ? step : 0;
		if (machine->level0 > machine->most_level0)
			machine->most_level0 = machine->level0;
		if (machine->pending > machine->most_pending)
			machine->most_pending = machine->pending;
		if (machine->now_us - machine->looked_us >= LOOK_US)
			look(machine);
	}
}

static void write_one(struct machine *machine, uint64_t bytes)
{
	uint64_t waited = 0, wait;

	while ((wait = pd_brake_take(&machine->brake, machine->now_us, bytes)) > 0) {
		assert_true(wait <= PD_BRAKE_WAIT_US_MAX);
		advance(machine, wait);
		waited += wait;
	}
	if (waited > machine->longest_wait)
		machine->longest_wait = waited;
	machine->passed += bytes;
	machine->active += bytes;
	if (machine->active >= MEMTABLE && machine->frozen_count < QUEUE) {
		machine->frozen[machine->frozen_count++] = machine->active;
		machine->active = 0;
	}
}

/* Offer so many bytes a second for so long; who had to wait comes back with all that has piled up. Returns the rate at which
 * they passed. */
static double offer(struct machine *machine, double rate, uint64_t us, uint64_t bytes)
{
	uint64_t began_us = machine->now_us, passed = machine->passed;
	double due_us = (double)machine->now_us;

	while (machine->now_us < began_us + us) {
		if ((double)machine->now_us < due_us)
			advance(machine, (uint64_t)(due_us - (double)machine->now_us) + 1);
		write_one(machine, bytes);
		due_us += (double)bytes * (double)SECOND / rate;
		/* An open door: what was refused is not offered twice over. */
		if (due_us < (double)machine->now_us - 1e5)
			due_us = (double)machine->now_us - 1e5;
	}
	return (double)(machine->passed - passed) * (double)SECOND / (double)(machine->now_us - began_us);
}

static void forget_what_was_seen(struct machine *machine)
{
	machine->longest_wait = 0;
	machine->most_memory = 0;
	machine->most_level0 = 0;
	machine->most_pending = 0;
	machine->full_us = 0;
}

/* Rates over windows of time once it has settled. */
struct spread {
	double least, most, mean;
};

static struct spread settle(struct machine *machine, double rate, uint64_t bytes, uint64_t settle_us,
			    uint64_t window_us, unsigned windows)
{
	struct spread spread = { .least = 1e18 };

	(void)offer(machine, rate, settle_us, bytes);
	forget_what_was_seen(machine);
	for (unsigned i = 0; i < windows; i++) {
		double seen = offer(machine, rate, window_us, bytes);

		spread.least = seen < spread.least ? seen : spread.least;
		spread.most = seen > spread.most ? seen : spread.most;
		spread.mean += seen / windows;
	}
	return spread;
}

static void memory_settles_at_what_flushing_takes(void **state)
{
	static const double drains[] = { 20.0 * 1024 * 1024, 100.0 * 1024 * 1024, 400.0 * 1024 * 1024 };
	static const double loads[] = { 1.2, 1.5, 2, 3, 5, 10 };
	static const uint64_t sizes[] = { 300, 4096, 65536 };

	(void)state;
	for (size_t d = 0; d < 3; d++) {
		for (size_t l = 0; l < 6; l++) {
			for (size_t s = 0; s < 3; s++) {
				struct machine machine;
				struct spread spread;
				uint64_t bytes = sizes[s] < 4096 && d > 0 ? 2048 : sizes[s];

				machine_init(&machine, 512 * MIB, drains[d], 0);
				/* From the beginning on: the way up is as calm as the rest. */
				spread = settle(&machine, loads[l] * drains[d], bytes,
						(uint64_t)(2e15 / drains[d]) + SECOND, SECOND, 10);
				if (spread.least < 0.5 * drains[d] || spread.most > 2 * drains[d] ||
				    spread.mean < 0.85 * drains[d] || spread.mean > 1.15 * drains[d])
					fail_msg("drain %.0f, load %.1f, size %u: %.2f to %.2f, mean %.2f",
						 drains[d], loads[l], (unsigned)bytes,
						 spread.least / drains[d], spread.most / drains[d],
						 spread.mean / drains[d]);
				assert_int_equal(machine.full_us, 0);
				assert_true(machine.most_memory < 512 * MIB);
				if (machine.longest_wait > 50000)
					fail_msg("drain %.0f, load %.1f, size %u: a wait of %u us", drains[d],
						 loads[l], (unsigned)bytes, (unsigned)machine.longest_wait);
			}
		}
	}
}

/* Never full, not even on the way: from an empty memory under the greatest load. */
static void the_way_up_is_calm(void **state)
{
	static const double loads[] = { 1, 2, 5, 10 };

	(void)state;
	for (size_t l = 0; l < 4; l++) {
		struct machine machine;
		double drain = 100.0 * 1024 * 1024;

		machine_init(&machine, 512 * MIB, drain, 0);
		(void)offer(&machine, loads[l] * drain, 60 * SECOND, 4096);
		assert_int_equal(machine.full_us, 0);
		assert_true(machine.most_memory < 480 * MIB);
		assert_true(machine.longest_wait <= 50000);
		if (l == 0) { /* nobody is held up for what can be taken away */
			forget_what_was_seen(&machine);
			assert_true(offer(&machine, 0.9 * drain, 20 * SECOND, 4096) > 0.88 * drain);
		}
	}
}

/* Compaction takes a part of what flushing could, and all files at once: the debt is a saw. What passes is not. */
static void files_settle_at_what_compaction_takes(void **state)
{
	static const double shares[] = { 0.9, 0.7, 0.4, 0.2, 0.1, 0.05 };
	static const double loads[] = { 1.2, 2, 5, 10 };

	(void)state;
	for (size_t h = 0; h < 6; h++) {
		for (size_t l = 0; l < 4; l++) {
			struct machine machine;
			struct spread spread;
			double flush_rate = 300.0 * 1024 * 1024, drain = shares[h] * flush_rate;

			machine_init(&machine, 512 * MIB, flush_rate, drain);
			spread = settle(&machine, loads[l] * drain, 8192, (h > 3 ? 400 : 120) * SECOND,
					5 * SECOND, 20);
			if (spread.least < 0.5 * drain || spread.most > 1.6 * drain ||
			    spread.mean < 0.9 * drain || spread.mean > 1.1 * drain)
				fail_msg("compaction takes %.2f of flushing, load %.1f: %.2f to %.2f, mean "
					 "%.2f, %u files",
					 shares[h], loads[l], spread.least / drain, spread.most / drain,
					 spread.mean / drain, machine.most_level0);
			assert_true(machine.most_level0 < 60);
			assert_int_equal(machine.full_us, 0);
			assert_true(machine.longest_wait <= 50000);
		}
	}
}

/* On the way there, too, the hard mark is not reached. */
static void files_stay_below_the_hard_mark(void **state)
{
	static const double loads[] = { 2, 10, 20 };

	(void)state;
	for (size_t l = 0; l < 3; l++) {
		struct machine machine;
		double drain = 60.0 * 1024 * 1024;

		machine_init(&machine, 512 * MIB, 300.0 * 1024 * 1024, drain);
		(void)offer(&machine, loads[l] * drain, 200 * SECOND, 8192);
		assert_true(machine.most_level0 > 20 && machine.most_level0 < 80);
		assert_int_equal(machine.full_us, 0);
		assert_true(machine.longest_wait <= 50000);
	}
}

/* A debt below level 0 grows for a long time before it matters, and then tells nobody how fast it could go. */
static void bytes_to_rewrite_settle_too(void **state)
{
	static const double shares[] = { 0.7, 0.3, 0.1 };
	static const double loads[] = { 1.5, 3, 10 };
	double hard = (double)PD_BRAKE_OPTIONS_DEFAULT.pending_hard;

	(void)state;
	for (size_t h = 0; h < 3; h++) {
		for (size_t l = 0; l < 3; l++) {
			struct machine machine;
			struct spread spread;
			double flush_rate = 300.0 * 1024 * 1024, drain = shares[h] * flush_rate;

			machine_init(&machine, 512 * MIB, flush_rate, drain);
			machine.smooth = true;
			machine.amplification = 40;
			machine.pending = 0.4 * hard;
			look(&machine);
			spread = settle(&machine, loads[l] * drain, 16384, 600 * SECOND, 5 * SECOND, 10);
			assert_true(spread.least > 0.7 * drain && spread.most < 1.4 * drain);
			assert_true(machine.most_pending < 0.95 * hard);
			assert_int_equal(machine.full_us, 0);
			assert_true(machine.longest_wait <= 50000);
		}
	}
}

/* The disk becomes slow and then fast again: what passes follows, and without a load nothing is left of it. */
static void it_recovers(void **state)
{
	struct machine machine;
	struct spread spread;
	double drain = 200.0 * 1024 * 1024;

	(void)state;
	machine_init(&machine, 512 * MIB, drain, 0);
	(void)offer(&machine, 3 * drain, 20 * SECOND, 4096);
	machine.flush_rate = drain / 8;
	spread = settle(&machine, 3 * drain, 4096, 40 * SECOND, 2 * SECOND, 10);
	assert_true(spread.least > drain / 8 * 0.5 && spread.most < drain / 8 * 2);
	assert_int_equal(machine.full_us, 0);
	machine.flush_rate = drain;
	spread = settle(&machine, 3 * drain, 4096, 40 * SECOND, SECOND, 10);
	assert_true(spread.least > drain * 0.5 && spread.most < drain * 2);
	/* Less than it can take: the debt goes, and with it every limit. */
	(void)offer(&machine, drain / 3, 10 * SECOND, 4096);
	assert_true(machine.brake.rate == PD_BRAKE_NONE);
	forget_what_was_seen(&machine);
	(void)offer(&machine, drain / 3, 10 * SECOND, 4096);
	assert_int_equal(machine.longest_wait, 0);
}

/* Nothing flows off at all: writes become fewer and fewer, and only when memory is full do they stop. */
static void a_stuck_flush_is_met_slowly(void **state)
{
	struct machine machine;
	double drain = 100.0 * 1024 * 1024, before;

	(void)state;
	machine_init(&machine, 512 * MIB, drain, 0);
	before = offer(&machine, 2 * drain, 20 * SECOND, 4096);
	machine.flush_rate = 0;
	for (unsigned i = 0; i < 12; i++) {
		double passed = offer(&machine, 2 * drain, SECOND, 4096);

		assert_true(passed < 1.2 * before);
		before = passed > PD_BRAKE_TRICKLE * 2.0 ? passed : PD_BRAKE_TRICKLE * 2.0;
	}
	assert_int_equal(machine.full_us, 0); /* at a trickle it lasts much longer */
	while (machine.full_us == 0) {
		assert_true(machine.now_us < 200 * SECOND);
		if (pd_brake_take(&machine.brake, machine.now_us, 65536) == 0)
			machine.active += 65536;
		advance(&machine, 1000);
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pd_brake_wait_us(&machine.brake, machine.now_us), PD_BRAKE_WAIT_US_MAX);
		advance(&machine, PD_BRAKE_WAIT_US_MAX);
	}
}

/* One large value may go when it is its turn, and those behind it wait for it in small pieces. */
static void large_writes_pass(void **state)
{
	struct machine machine;
	struct spread spread;
	double drain = 100.0 * 1024 * 1024;

	(void)state;
	machine_init(&machine, 512 * MIB, drain, 0);
	spread = settle(&machine, 5 * drain, 8 * MIB, 20 * SECOND, 4 * SECOND, 10);
	assert_true(spread.mean > 0.8 * drain && spread.mean < 1.2 * drain);
	assert_int_equal(machine.full_us, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(below_the_soft_marks_there_is_no_limit),
		cmocka_unit_test(the_curve_has_no_cliff),
		cmocka_unit_test(at_the_hard_marks_there_is_a_trickle),
		cmocka_unit_test(debts_without_a_mark_do_not_matter),
		cmocka_unit_test(memory_is_followed_byte_by_byte),
		cmocka_unit_test(failing_levels_brake_early),
		cmocka_unit_test(asking_costs_nothing),
		cmocka_unit_test(memory_settles_at_what_flushing_takes),
		cmocka_unit_test(the_way_up_is_calm),
		cmocka_unit_test(files_settle_at_what_compaction_takes),
		cmocka_unit_test(files_stay_below_the_hard_mark),
		cmocka_unit_test(bytes_to_rewrite_settle_too),
		cmocka_unit_test(it_recovers),
		cmocka_unit_test(a_stuck_flush_is_met_slowly),
		cmocka_unit_test(large_writes_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
