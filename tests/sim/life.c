/* Opening, dying, closing: the frame of a life, and what must hold across the gap between two. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "world.h"

#define ATTEMPTS_MAX 40
#define UPKEEP_STEPS 40 /* in which a checkpoint is made */

/* ---- memory ---- */

void life_spare(struct world *world)
{
	world->starving_left = pd_memory_fail_left();
	pd_memory_fail(0, 0);
}

void life_starve(struct world *world, unsigned long nth)
{
	pd_memory_fail(nth, world->starving_for_good);
}

/* ---- plagues ---- */

void life_heal(struct world *world)
{
	world->machine.write_error_ppm = 0;
	world->machine.sync_error_ppm = 0;
	world->machine.read_error_ppm = 0;
	if (!world->lies.drive)
		world->machine.lost_write_ppm = 0;
	world->machine.misdirected_write_ppm = 0;
	pd_sim_set_options(world->os, &world->machine);
	for (int operation = 0; operation < PD_OS_OP_COUNT; operation++)
		pd_sim_fail_at(world->os, (enum pd_os_operation)operation, 0, 0);
	pd_sim_fail_from(world->os, 0, 0, false);
	/* Where none is to fail they are counted only. */
	if (world->sick)
		life_starve(world, 0);
	world->sick = false;
	world->healed_us = pd_os_monotonic_ns(world->os) / 1000;
}

static void make_room(struct world *world)
{
	world_say(world, "room on the disk again");
	world->machine.disk_bytes = 0;
	pd_sim_set_options(world->os, &world->machine);
	world->room_us = pd_os_monotonic_ns(world->os) / 1000;
	pd_sim_advance_us(world->os, 600000);
}

static void break_out(struct world *world)
{
	static const enum pd_os_operation operations[] = { PD_OS_OP_WRITE,    PD_OS_OP_WRITE,
							   PD_OS_OP_DATASYNC, PD_OS_OP_ALLOCATE,
							   PD_OS_OP_RENAME,   PD_OS_OP_SYNC_DIRECTORY };
	struct chance *chance = &world->chance;

	if (world->plague == PLAGUE_NONE || !chance_one_in(chance, 2))
		return;
	world->sick = true;
	world->plagued = true;
	switch (world->plague) {
	case PLAGUE_ERRORS:
		if (chance_one_in(chance, 2)) {
			pd_sim_fail_at(world->os, operations[chance_below(chance, 6)],
				       chance_spread(chance, 60), chance_one_in(chance, 4) ? ENOSPC : EIO);
			return;
		}
		world->machine.write_error_ppm = (unsigned)chance_spread(chance, 100000);
		world->machine.sync_error_ppm = (unsigned)chance_spread(chance, 100000);
		world->machine.read_error_ppm = (unsigned)chance_below(chance, 20000);
		/* One kind alone, and often: what comes of it is not hidden by the others. */
		if (chance_one_in(chance, 2)) {
			unsigned kind = (unsigned)chance_below(chance, 3), often = 100000;

			world->machine.write_error_ppm = kind == 0 ? often : 0;
			world->machine.sync_error_ppm = kind == 1 ? often : 0;
			world->machine.read_error_ppm = kind == 2 ? often : 0;
		}
		break;
	case PLAGUE_DRIVE:
		if (chance_one_in(chance, 2))
			world->machine.lost_write_ppm = (unsigned)chance_below(chance, 50000);
		else
			world->machine.misdirected_write_ppm = (unsigned)chance_below(chance, 50000);
		break;
	default:
		return;
	}
	pd_sim_set_options(world->os, &world->machine);
}

/* Behind the last byte of a file that is not zero. */
static uint64_t written_bytes(const uint8_t *data, uint64_t size)
{
	while (size > 0 && data[size - 1] == 0)
		size--;
	return size;
}

#define STORE "data/store/0000"

/* Where the state's files are; now and then those of a checkpoint, if there is one. */
static void pick_state(struct world *world, char *ret_directory, size_t size)
{
	const char *checkpoint = "live", *below = "";
	struct pd_os_names names = { 0 };

	if (chance_one_in(&world->side_chance, 3) && pd_os_list(world->os, STORE, &names, NULL) == 0 &&
	    names.count > 0) {
		checkpoint = names.names[chance_below(&world->side_chance, names.count)];
		if (strncmp(checkpoint, "checkpoint-", 11) != 0)
			checkpoint = "live";
		else if (chance_one_in(&world->side_chance, 2))
			below = "/levels";
	}
	(void)snprintf(ret_directory, size, STORE "/%.40s%s", checkpoint, below);
	pd_os_names_done(&names);
}

/* Flip a bit somewhere in the log, or in the state: in the front, or anywhere in what was ever written. */
static void rot(struct world *world)
{
	bool of_state = chance_one_in(&world->chance, 2);
	static const uint8_t scratch[48] = { 0xa5, 0x5a, 0xa5 };
	char directory[64] = "data/log/0000", path[140];
	struct pd_os_names names;
	const uint8_t *data;
	uint64_t size, end, offset;
	size_t pick;

	if (of_state)
		pick_state(world, directory, sizeof directory);
	if (pd_os_list(world->os, directory, &names, NULL) != 0)
		return;
	pick = names.count == 0 ? 0 : (size_t)chance_below(&world->chance, names.count);
	if (names.count > 0) {
		(void)snprintf(path, sizeof path, "%s/%.64s", directory, names.names[pick]);
		if (pd_sim_content(world->os, path, &data, &size) == 0 && size > 0) {
			end = written_bytes(data, size);
			if (of_state || end == 0)
				end = size;
			else if (chance_one_in(&world->chance, 3) && end > 8192)
				end = 8192;
			offset = chance_below(&world->chance, end);
			world_say(world, "bit flip in %s at %" PRIu64, path, offset);
			if (chance_one_in(&world->side_chance, 3) && offset + sizeof scratch <= size)
				(void)!pd_sim_damage(world->os, path, offset, scratch, sizeof scratch);
			if (pd_sim_flip_bit(world->os, path, offset,
					    (unsigned)chance_below(&world->chance, 8)) == 0)
				world->sick = world->plagued = true;
		}
	}
	pd_os_names_done(&names);
}

/* ---- what came back ---- */

/* The last LSN of the epoch that ended, as its bookmarks tell: between it and the new epoch there may be epochs whose
 * beginning was cut short. */
static uint64_t surviving_lsn(struct world *world, uint64_t before_lsn)
{
	uint64_t lsn = world->newest_lsn < before_lsn ? world->newest_lsn : before_lsn;
	int result;

	if (world->begins == 1 || world->epoch == 0)
		return lsn;
	if (pd_engine_check_bookmark(world->engine, world->epoch, UINT64_MAX) == PD_INVALID) {
		/* A drive may lose the record of an epoch and its segment's head with it. */
		if (world->plague != PLAGUE_DRIVE)
			(void)world_fail(world, "nothing is known of epoch %" PRIu64, world->epoch);
		return before_lsn;
	}
	do
		result = pd_engine_check_bookmark(world->engine, world->epoch, lsn);
	while (result != 0 && result != PD_INVALID && lsn-- > 0);
	return lsn;
}

static int open_once(struct world *world, struct pd_recovery *ret_recovery, struct pd_error *err);

/* Something of the state cannot be read. What can be is right all the same, in this life and in the next; and where the next one
 * has made the state anew, all of it can be. */
static void live_with_damage(struct world *world, uint64_t survived)
{
	struct pd_recovery recovery;
	struct pd_error err = { 0 };
	struct pd_hash128 hash;
	int result;

	oracle_rewind(&world->oracle, survived);
	if (!verify_state(world) || world->plague != PLAGUE_ROT)
		return;
	life_kill(world, chance_one_in(&world->side_chance, 2));
	if (open_once(world, &recovery, &err) != 0)
		return;
	world->damaged = recovery.damage_count > 0;
	result = pd_engine_state_hash(world->engine, NULL, pd_slice(NULL, 0), &hash, &err);
	if (result != 0 && (result != PD_CORRUPT || (recovery.rebuilt && !world->damaged)))
		(void)world_fail(world, "the state was made anew, and still: %s", err.text);
	else
		(void)verify_state(world);
}

static bool check_hash(struct world *world, uint64_t lsn)
{
	struct pd_hash128 hash;
	struct pd_error err;
	int result = pd_engine_state_hash(world->engine, NULL, pd_slice(NULL, 0), &hash, &err);

	/* What has been made anew has been read. */
	if ((result == PD_CORRUPT && world_rotten(world) &&
	     !(world->rebuilt && world->plague == PLAGUE_ROT)) ||
	    (result == PD_IO && world->plague == PLAGUE_ERRORS)) {
		world->over = true;
		world->totals->damage_reported++;
		if (result == PD_CORRUPT)
			live_with_damage(world, lsn);
		return false;
	}
	if (result != 0)
		return world_fail(world, "no state hash: %s", err.text);
	world_trace(world, hash.low);
	if (world->hash_known && lsn == world->newest_lsn &&
	    (hash.low != world->hash.low || hash.high != world->hash.high))
		return world_fail(world,
				  "the state that was replayed (up to LSN %" PRIu64
				  ") is not the state that was in memory",
				  lsn);
	return true;
}

static bool check_survival(struct world *world, uint64_t epoch, uint64_t lsn, uint64_t survived)
{
	if (epoch <= world->epoch)
		return world_fail(world, "epoch %" PRIu64 " begins after epoch %" PRIu64, epoch,
				  world->epoch);
	if (lsn - 1 - survived > world->begins - 1)
		return world_fail(world,
				  "epoch %" PRIu64 " begins with LSN %" PRIu64
				  ", but only LSNs up to %" PRIu64 " were given before",
				  epoch, lsn, survived);
	if (world->plague == PLAGUE_DRIVE && survived < world->drive_floor)
		return world_fail(world,
				  "LSN %" PRIu64
				  " was on the disk, as a later group tells; the log ends with %" PRIu64
				  ", and nothing is said of it",
				  world->drive_floor, survived);
	if (survived < world->process_floor && world->plague != PLAGUE_DRIVE)
		return world_fail(world,
				  "LSN %" PRIu64 " was promised to survive; only those up to %" PRIu64
				  " did (the newest was %" PRIu64 ")",
				  world->process_floor, survived, world->newest_lsn);
	return true;
}

/* The state moves on behind the damage, and the log may be trimmed of it: who has lost something is known all the same. */
static void start_after_damage(struct world *world)
{
	struct pd_recovery recovery;
	struct pd_error err = { 0 };

	if (world->options.levels == PD_LEVELS_NONE || world->plague != PLAGUE_ROT)
		return;
	if (pd_engine_upkeep_start(world->engine, PD_UPKEEP_COMPACT_LOG, &err) == 0)
		for (unsigned i = 0; i < UPKEEP_STEPS; i++) {
			pd_sim_advance_us(world->os, 20000);
			if (pd_engine_step(world->engine) != 0)
				break;
		}
	life_kill(world, true);
	if (open_once(world, &recovery, &err) != 0)
		return;
	world->remembers = true;
	(void)verify_state(world);
}

static void note_end(struct world *world, uint64_t survived)
{
	if (world->end_count < MOMENTS_MAX)
		world->ends[world->end_count++] = (struct moment){ world->epoch, survived };
}

/* Damage was found. Whoever lost something must not be served, and whoever is served must have lost nothing. */
static bool check_damaged(struct world *world)
{
	const struct pd_log_damage *damage;
	uint64_t epoch, lsn, survived;

	world->totals->damage_reported++;
	for (size_t i = 0; (damage = pd_engine_damage(world->engine, i)) != NULL; i++)
		world_say(world, "damage in segment %u at %" PRIu64 ", LSN %" PRIu64 " to %" PRIu64 ": %s",
			  damage->segment, damage->offset, damage->first_lsn, damage->last_lsn, damage->text);
	damage = pd_engine_damage(world->engine, 0);
	if (world->plague != PLAGUE_ROT && world->plague != PLAGUE_DRIVE)
		return world_fail(world, "damage reported where there is none: %s, LSN %" PRIu64 " on",
				  damage->text, damage->first_lsn);
	world->over = true;
	world->damaged = true;
	pd_engine_now(world->engine, &epoch, &lsn);
	survived = surviving_lsn(world, lsn - 1);
	if (survived < world->process_floor && world->plague == PLAGUE_ROT)
		return world_fail(world,
				  "LSN %" PRIu64
				  " was promised to survive or to be reported; the log ends with %" PRIu64,
				  world->process_floor, survived);
	oracle_rewind(&world->oracle, survived);
	note_end(world, survived);
	if ((world->plague != PLAGUE_ROT || verify_moments(world)) && verify_state(world))
		start_after_damage(world);
	return false;
}

/* May files have changed behind the engine's back? */
static bool may_be_damaged(const struct world *world)
{
	return world->plagued && (world->plague == PLAGUE_ROT || world->plague == PLAGUE_DRIVE);
}

static bool check_recovered(struct world *world, const struct pd_recovery *recovery)
{
	uint64_t epoch, lsn, survived;

	world->totals->recoveries++;
	world->totals->torn_tails += recovery->torn_bytes > 0;
	world->totals->rebuilt += recovery->rebuilt;
	world->rebuilt = recovery->rebuilt;
	if (recovery->rebuilt)
		world_say(world, "the state was made anew: %s", recovery->rebuilt_why);
	if (recovery->rebuilt || world->state_lost)
		world->full_floor = 0; /* what the levels had is made anew */
	if (recovery->applied_lsn < world->full_floor)
		return world_fail(world,
				  "LSN %" PRIu64
				  " was acknowledged as in the state, which begins with LSN %" PRIu64,
				  world->full_floor, recovery->applied_lsn);
	if (recovery->rebuilt && !may_be_damaged(world) && !world->state_lost && !world->state_doubted)
		return world_fail(world, "the state was good, and was made anew: %s", recovery->rebuilt_why);
	if (recovery->damage_count > 0)
		return check_damaged(world);
	pd_engine_now(world->engine, &epoch, &lsn);
	survived = surviving_lsn(world, lsn - 1);
	world_say(world,
		  "recovered: epoch %" PRIu64 " begins with LSN %" PRIu64 ", up to LSN %" PRIu64
		  " survived of %" PRIu64 " (promised %" PRIu64 "), %" PRIu64 " torn bytes",
		  epoch, lsn, survived, world->newest_lsn, world->process_floor, recovery->torn_bytes);
	world_trace(world, lsn);
	if (!check_survival(world, epoch, lsn, survived) || !check_hash(world, survived))
		return false;
	world->last_us = world->last_write_us = survived == world->newest_lsn ? world->last_write_us : 0;
	world->survived_lsn = survived;
	world->totals->states_lost += world->state_lost;
	world->state_lost = false;
	world->totals->lost_transactions += world->newest_lsn - survived;
	oracle_rewind(&world->oracle, survived);
	note_end(world, survived);
	world->epoch = epoch;
	world->newest_lsn = lsn;
	world->power_floor = world->process_floor = lsn;
	world->strict_lsn = world->standard_lsn = lsn;
	world->full_lsn = 0;
	world->begins = 0;
	world->fenced = false;
	world->state_doubted = false;
	return verify_moments(world) && verify_state(world) && (!world->lone || shelf_check(world));
}

/* ---- opening ---- */

static int open_once(struct world *world, struct pd_recovery *ret_recovery, struct pd_error *err)
{
	int result;

	world->begins++;
	world->state_doubted |= world->sick && world->plague == PLAGUE_ERRORS;
	world->options.os = world->os;
	result = pd_engine_open(&world->options, &world->engine, err);
	if (result != 0) {
		world->engine = NULL;
		return result;
	}
	*ret_recovery = (struct pd_recovery){ 0 };
	while (result == 0 && !ret_recovery->done)
		result = pd_engine_recover(world->engine, chance_spread(&world->chance, 2000), ret_recovery,
					   err);
	if (result != 0) {
		(void)pd_engine_close(world->engine, NULL);
		world->engine = NULL;
	}
	return result;
}

/* A start was refused for damage: one that is not must serve nothing else than that one would have. */
static void insist(struct world *world)
{
	struct pd_recovery recovery;
	struct pd_error err = { 0 };

	life_kill(world, chance_one_in(&world->side_chance, 2));
	if (open_once(world, &recovery, &err) == 0)
		(void)check_recovered(world, &recovery);
}

/* It could not be opened: was that right, and what then? false: no more attempts. */
static bool after_failed_open(struct world *world, int result, const struct pd_error *err)
{
	world_say(world, "open failed: %s", err->text);
	if (world_dead(world)) {
		life_kill(world, chance_one_in(&world->chance, 2));
	} else if (result == PD_NO_SPACE && world->machine.disk_bytes > 0) {
		world->totals->disk_full++;
		make_room(world);
	} else if (result == PD_CORRUPT && (world->plague == PLAGUE_ROT || world->plague == PLAGUE_DRIVE)) {
		world->totals->refused_opens++;
		insist(world);
		world->over = true;
		return false;
	} else if (world->sick && world->plague == PLAGUE_ERRORS) {
		life_heal(world);
	} else {
		return world_fail(world, "cannot open: %s", err->text);
	}
	return true;
}

bool life_open(struct world *world)
{
	struct pd_recovery recovery;
	struct pd_error err = { 0 };

	for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		int result;

		if (world->plague == PLAGUE_ROT && world->epoch > 0 && chance_one_in(&world->chance, 3))
			rot(world);
		shelf_lose_state(world);
		if (chance_one_in(&world->chance, 3) && attempt < ATTEMPTS_MAX / 2)
			pd_sim_crash_at(world->os, chance_spread(&world->chance, 100));
		result = open_once(world, &recovery, &err);
		if (result != 0) {
			/* A disk that failed promises nothing but what was synced. */
			if (world->sick)
				world->process_floor = world->power_floor;
			if (!after_failed_open(world, result, &err))
				return false;
			continue;
		}
		pd_sim_crash_at(world->os, 0);
		if (world->plague != PLAGUE_ROT)
			life_heal(world);
		if (!check_recovered(world, &recovery))
			return false;
		break_out(world);
		work_begin(world);
		return true;
	}
	return world_fail(world, "cannot open after %d attempts: %s", ATTEMPTS_MAX, err.text);
}

static void plan_death(struct world *world, uint64_t dying_at)
{
	uint64_t now = pd_sim_operations(world->os);

	if (dying_at == 0 && world->dies_at > now)
		dying_at = world->dies_at - now;
	pd_sim_crash_at(world->os, dying_at);
}

int life_open_at(struct world *world, uint64_t dying_at)
{
	struct pd_recovery recovery;
	struct pd_error err = { 0 };
	bool recovered;

	plan_death(world, dying_at);
	for (;;) {
		int result = open_once(world, &recovery, &err);

		if (world_dead(world))
			return 0;
		if (result == 0)
			break;
		/* Only a disk that is full, or fails, has another chance. */
		if (world->sick) {
			life_heal(world);
			world->process_floor = world->power_floor;
			continue;
		}
		if (result != PD_NO_SPACE || world->machine.disk_bytes == 0) {
			(void)world_fail(world, "cannot open: %s", err.text);
			return -1;
		}
		make_room(world);
	}
	world->opened_at = pd_sim_operations(world->os);
	if (dying_at > 0)
		pd_sim_crash_at(world->os, 0);
	life_spare(world);
	recovered = check_recovered(world, &recovery);
	if (recovered)
		work_begin(world);
	life_starve(world, world->starving_left);
	if (!recovered)
		return world_dead(world) && !world->failed ? 0 : -1;
	return 1;
}

/* ---- dying ---- */

void life_bury(struct world *world)
{
	uint64_t epoch;
	struct pd_error err;

	if (world->engine == NULL)
		return;
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	life_spare(world);
	world->hash_known = pd_engine_state_hash(world->engine, NULL, pd_slice(NULL, 0), &world->hash,
						 &err) == 0;
	life_starve(world, world->starving_left);
	work_end(world);
	/* Its first disk operation from here on is the one that it dies in. */
	if (!world_dead(world))
		pd_sim_crash_at(world->os, 1);
	(void)pd_engine_close(world->engine, NULL);
	world->engine = NULL;
}

void life_kill(struct world *world, bool power)
{
	life_bury(world);
	life_spare(world);
	if (power) {
		world_say(world, "power cut");
		world->totals->power_cuts++;
		world->process_floor = world->power_floor;
		pd_sim_power_cut(world->os);
	} else {
		world_say(world, "process crash");
		world->totals->process_crashes++;
		/* A disk that failed promises nothing but what was synced. */
		if (world->fenced)
			world->process_floor = world->power_floor;
		pd_sim_process_crash(world->os);
	}
	life_starve(world, world->starving_left);
	/* The machine is off for a while. */
	pd_sim_advance_us(world->os, chance_spread(&world->chance, 10 * 1000 * 1000));
	if (chance_one_in(&world->chance, 16))
		pd_sim_jump_real_us(world->os,
				    (int64_t)chance_below(&world->chance, 7200000000) - 3600000000);
	if (chance_one_in(&world->chance, 4))
		life_heal(world);
}

bool life_close(struct world *world)
{
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result;

	if (!work_settle(world) || !large_check(world) || !expiry_check(world) || !work_rest(world))
		return false;
	if (world_dead(world)) {
		life_kill(world, chance_one_in(&world->chance, 2));
		return true;
	}
	if (chance_one_in(&world->chance, 3))
		pd_sim_crash_at(world->os, chance_spread(&world->chance, 10));
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	world->hash_known = pd_engine_state_hash(world->engine, NULL, pd_slice(NULL, 0), &world->hash,
						 &err) == 0;
	work_end(world);
	world_say(world, "close");
	result = pd_engine_close(world->engine, &err);
	world->engine = NULL;
	if (world_dead(world) || result != 0) {
		if (!world_dead(world) && !world->sick && !world->fenced)
			return world_fail(world, "cannot close: %s", err.text);
		life_kill(world, chance_one_in(&world->chance, 2));
		return true;
	}
	pd_sim_crash_at(world->os, 0);
	world->totals->clean_closes++;
	world->power_floor = world->process_floor = world->newest_lsn;
	if (chance_one_in(&world->chance, 2))
		life_kill(world, true);
	return true;
}
