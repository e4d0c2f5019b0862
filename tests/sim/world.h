/* One seed's world: a simulated machine, the production engine on it, the model beside it, and what has been
 * promised to whom. */
#ifndef PD_TESTS_SIM_WORLD_H
#define PD_TESTS_SIM_WORLD_H

#include "base/hash.h"
#include "engine/blob.h"
#include "engine/engine.h"
#include "engine/follower.h"
#include "engine/upkeep.h"
#include "oracle.h"
#include "os/os.h"
#include "os/sim.h"
#include "request.h"

/* Faults that the code under test is not told of: each must make some seed fail. */
struct lies {
	bool sync;        /* the disk promises a sync and does nothing */
	bool directory;   /* the same for directories */
	bool drive;       /* the drive now and then drops a write */
	bool early_reply; /* replies are shown before they settle */
};

struct totals {
	uint64_t seeds, operations, acknowledged, unknown, power_cuts, process_crashes, recoveries,
		clean_closes, torn_tails, fences, disk_full, conflicts, duplicates, lost_transactions,
		damage_reported, quarantined, refused_opens, rebuilt, flushes, checkpoints, trims, braked,
		drops, related, leases, stale, quota_refusals, states_lost, views, views_given_up, uploads,
		uploads_dropped, readings;
	uint64_t trace; /* of all seeds, whatever their order */
};

/* What may happen to the machine, beside crashes. */
enum plague {
	PLAGUE_ANY, /* as the seed chooses */
	PLAGUE_NONE,
	PLAGUE_ERRORS, /* reads, writes and syncs fail */
	PLAGUE_FULL,   /* the disk is small */
	PLAGUE_ROT,    /* bits flip at rest */
	PLAGUE_DRIVE,  /* writes are lost or land elsewhere */
};

#define WORLD_SESSIONS 4
/* A value that is arriving. */
struct upload {
	struct pd_stage *stage; /* NULL: none is */
	const struct request *request;
	size_t word;  /* of the value, among the request's words */
	size_t given; /* bytes */
	uint64_t lsn; /* of the first of them */
};

/* A part of a reply that is not read yet. */
struct reading {
	struct pd_blob_reader *reader; /* NULL: none */
	uint64_t lsn;                  /* the newest, when it began */
	struct pd_slice expected;
	size_t at;
};

struct client {
	struct pd_session *session;
	struct upload upload;
	uint8_t tenant, actor;
	bool one_actor, resp3, read_strict;
	enum pd_level level;
	uint64_t claims[WORLD_TENANTS][WORLD_ACTORS]; /* epochs that it writes with */
	size_t held_first;                            /* of its replies in world.held, the first not shown */
};

/* A reply that waits. */
struct held {
	unsigned client;
	bool done;
	struct pd_wait wait;
	uint64_t strict_lsn, standard_lsn, full_lsn; /* what its evaluation could have seen */
	uint64_t epoch, lsn;
};

/* A weak write that must be synced in the background. */
struct weak {
	uint64_t lsn, us;
	unsigned late_steps;
};

struct moment {
	uint64_t epoch, lsn;
};

/* A version that somebody remembers. */
struct watch {
	uint8_t tenant;
	struct place place;
	struct pd_version version;
};

struct views;

#define READINGS_MAX 6
#define MOMENTS_MAX  48
#define WORLD_VIEWS  4
#define WATCHES_MAX  8
#define RETRIES_MAX  8

struct pd_archive;

/* Copies elsewhere, and what was said of them. */
struct copies {
	bool archiving;             /* every life has an archive */
	bool backing_up;            /* somebody has begun to */
	struct pd_archive *archive; /* NULL: not now */
	uint64_t archived_lsn;      /* up to there all was said to be archived */
	uint64_t backup_lsn;        /* what the newest backup has that was acknowledged */
	char backup[64], state[33]; /* its id and its hash; "": none, or not known */
};

struct world {
	uint64_t seed;
	bool verbose;
	struct lies lies;
	enum plague wanted_plague;
	const struct vocabulary *vocabulary;
	struct totals *totals;
	uint64_t flushes_seen, checkpoints_seen, log_first_lsn; /* of the engine at hand, counted already */

	struct chance chance;
	struct chance view_chance; /* of its own, so that a seed's story is the same with views and without */
	struct chance side_chance; /* the same for quotas, lost states, and looks at checkpoints */
	bool quotas;               /* somebody sets them */
	bool lone;       /* no crash is planned but by chance: whoever looks may use the disk for that */
	bool state_lost; /* what is in the levels; the next start that succeeds has made it anew */
	bool state_doubted; /* a disk that failed has given the engine a reason to put another state in its place */
	bool rebuilt;       /* so the last start has done */
	bool quarantined[WORLD_TENANTS][WORLD_ACTORS]; /* was, when it was read last */
	bool remembers;                                /* … and so it must be again */
	uint64_t last_us, last_write_us;               /* times that were given last */
	struct views *views;                           /* NULL: none is open */
	struct pd_follower *follower;                  /* NULL: nobody looks at the past */
	struct copies copies;
	struct arena arena;
	struct oracle oracle;
	struct reply expected;
	struct pd_buffer actual;
	struct taste taste;
	enum plague plague;
	bool starving_for_good;      /* the allocation that fails is not the only one */
	unsigned long starving_left; /* how far it was to it, while the harness is spared */
	bool sick;                   /* the plague has broken out in this life */
	bool plagued;                /* … or in an earlier one */

	struct pd_os *os;
	struct pd_sim_options machine;
	struct pd_engine_options options;
	struct pd_engine *engine;
	struct client clients[WORLD_SESSIONS];
	uint64_t client_number;
	struct reading readings[READINGS_MAX];
	uint64_t drop_lsn;       /* of the actor that was dropped last */
	uint64_t marked_lsn;     /* to which a script goes back */
	uint8_t snapshot_tenant; /* whose actor has the snapshot */
	bool half_related; /* an actor went whose relations could not be read: others may have kept their sides */
	bool may_be_lost; /* what the request at hand brings was staged for an actor that was dropped since */
	uint64_t room_us; /* when a full disk got room again */
	uint64_t healed_us; /* when the last plague ended */
	bool fenced;
	bool damaged; /* actors may be quarantined */
	bool over;    /* damage was found: nothing more can be promised */

	/* What has been promised: LSNs up to these survive. */
	uint64_t power_floor, process_floor;
	uint64_t full_floor; /* up to here the state on disk has it */
	uint64_t
		drive_floor; /* a group that has landed says that up to here all was durable: a drive may lose it, nobody may hide that */
	uint64_t strict_lsn, standard_lsn, full_lsn; /* the newest that asked for it */
	uint64_t newest_lsn; /* that was ever given, in the epoch that ended last or runs */
	uint64_t epoch;
	uint64_t
		dies_at; /* the disk operation, counted from the beginning, in which the process dies; 0: none is planned */
	uint64_t opened_at; /* the disk operation that was the last when the engine was open */
	unsigned begins;    /* attempts to open since then: each may have begun an epoch */

	struct held *held;
	size_t held_count, held_capacity;
	struct weak *weak;
	size_t weak_first, weak_count, weak_capacity;
	struct moment moments[MOMENTS_MAX], ends[MOMENTS_MAX]; /* shown to somebody; ends of epochs */
	size_t moment_count, end_count;
	uint64_t survived_lsn; /* of the epoch before this one, the last */
	struct watch watches[WATCHES_MAX];
	size_t watch_count;
	const struct request *retries[RETRIES_MAX]; /* idempotent requests */
	size_t retry_count;

	bool hash_known; /* of the state in memory when the engine died */
	struct pd_hash128 hash;

	uint64_t trace;
	bool failed;
	char failure[800];
};

/* ---- seed.c ---- */
/* Run a seed. false: world->failure says why. */
bool world_run(struct world *world, uint64_t seed);
/* As new, for a seed; memory is kept. And when all is over: what is still open is let go. */
void world_reset(struct world *world, uint64_t seed);
void world_finish(struct world *world);
/* Of the engine, if there is one: what comes after that does not count. */
void world_let_go(struct world *world);
void world_init(struct world *world, const struct vocabulary *vocabulary, struct totals *totals);
void world_done(struct world *world);
/* Note a failure; the first one counts. Returns false. */
bool world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_say(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_trace(struct world *world, uint64_t number);
/* May something be unreadable, so that reading it is refused? */
static inline bool world_rotten(const struct world *world)
{
	return world->plagued && (world->plague == PLAGUE_ROT || world->plague == PLAGUE_DRIVE ||
				  world->plague == PLAGUE_ERRORS);
}
static inline bool world_dead(const struct world *world)
{
	return pd_sim_crashed(world->os);
}

/* ---- dump.c ---- */
void world_dump(const struct world *world);

/* ---- life.c: opening, dying, closing ---- */
/* Open the engine, through whatever happens meanwhile, and check what came back. false: failed, or over. */
bool life_open(struct world *world);
/* The same without any chance in it: die at the nth disk operation from now (0: as dies_at says). 1: open, and all that came back is
 * right; 0: dead; -1: failed, or over. */
int life_open_at(struct world *world, uint64_t dying_at);
/* The plague is over. */
void life_heal(struct world *world);
/* The harness is not what is tested: between the two, no allocation fails. `nth` as in pd_memory_fail(). */
void life_spare(struct world *world);
void life_starve(struct world *world, unsigned long nth);
/* The process is dead: let go of the engine, with what was in memory noted. What becomes of the disk is life_kill()'s. */
void life_bury(struct world *world);
/* The process or the machine stops here. */
void life_kill(struct world *world, bool power);
/* A clean close, if nothing comes between. */
bool life_close(struct world *world);

/* ---- copies.c: the archive, and backups ---- */
/* There is a place for an archive, before all else. */
bool copies_begin(struct world *world);
/* An engine is open: so is the archive, if there is one. */
bool copies_open(struct world *world);
void copies_let_go(struct world *world);
/* Until all that there is is archived. */
bool copies_archive(struct world *world);
bool copies_back_up(struct world *world, unsigned kind); /* enum pd_backup_kind */
bool copies_expire(struct world *world);
/* What was said to be there can be had again. */
bool copies_check(struct world *world);
/* What was begun goes on, whatever has become of it. */
bool copies_go_on(struct world *world);
/* Tells one promise from another. */
uint64_t copies_promised(const struct world *world);

/* ---- work.c: what clients do ---- */
/* Up to `count` things happen. false: failed. The process may have died. */
bool work(struct world *world, unsigned count);
bool work_step(struct world *world);
/* One request of this client. */
bool work_request(struct world *world, unsigned client, const struct request *request);
bool work_upkeep(struct world *world, enum pd_upkeep_kind kind);
/* Nobody asks for anything: what was written weakly is synced all the same. */
bool work_rest(struct world *world);
/* All replies come to be shown, if steps go on. */
bool work_settle(struct world *world);
void work_begin(struct world *world);
/* This client is there from now on, and asks for no level. */
bool work_place(struct world *world, unsigned client, uint8_t tenant, uint8_t actor, bool one_actor);
/* The level of a tenant, or of this client's actor. */
bool work_profile(struct world *world, unsigned client, bool of_tenant, enum pd_level level);
void work_end(struct world *world);
/* A client waits for what this receipt says. */
bool work_hold(struct world *world, unsigned client, const struct pd_receipt *receipt);
/* Something was written. */
void work_note_write(struct world *world, const struct pd_receipt *receipt);
/* May a request be refused like this, which the model thinks of like that? */
bool work_check_refusal(struct world *world, const struct outcome *outcome, int result,
			const struct pd_error *err);

/* ---- actor.c: actors as their owners see them ---- */
/* Somebody drops an actor. */
bool actor_drop(struct world *world);
/* This client drops that one. */
bool actor_drop_one(struct world *world, unsigned client, uint8_t actor);
/* The one that a value of this client is arriving for, and another takes its name. */
bool actor_replace(struct world *world, unsigned client);
/* This client acquires its actor for a time and writes with the epoch it gets; gives it back; or writes without one again. */
enum actor_hold { ACTOR_ACQUIRE, ACTOR_RENEW, ACTOR_RELEASE };
bool actor_hold(struct world *world, unsigned client, enum actor_hold change, uint64_t ttl_us);
/* Somebody acquires, renews or releases an actor, or says with what epoch it writes. */
bool actor_lease(struct world *world);
/* What has expired goes, though nobody asks for it. */
bool expiry_check(struct world *world);
/* What is known of it must be what the model knows as of that time. */
bool actor_verify(struct world *world, struct pd_session *session, uint8_t tenant, uint8_t actor,
		  uint64_t now_us);

/* ---- remake.c: actors made of the past ---- */
/* Of what `from` had at that LSN, `to` is made, which is not there; both the same: it was dropped by the record after that, or is to be
 * restored. */
struct remake {
	uint8_t from, to;
	uint64_t lsn;
	bool restore;
	bool relations; /* … only what it was related to */
	bool carry;     /* by an export and an import */
	bool snapshot; /* … of `from`, that is called WORLD_SNAPSHOT; else, with `restore`: to that one, which has an LSN of its own */
};
#define WORLD_SNAPSHOT "s"
/* In the tenant of the first client. */
bool remake(struct world *world, const struct remake *what);
/* It is there no more. */
bool remake_remove_snapshot(struct world *world, uint8_t actor);
/* The snapshot is there if it should be, and has what it had when it was made. */
bool remake_check_snapshot(struct world *world, struct pd_session *session);

/* ---- quota.c ---- */
/* Keys of each actor of a tenant, and behind them of all; with those that have expired, and without. */
struct key_counts {
	uint64_t live[WORLD_ACTORS + 1], most[WORLD_ACTORS + 1];
};
void quota_count(const struct world *world, unsigned tenant, uint64_t now_us, struct key_counts *ret_counts);
/* May a request that changes the counts like this be refused for a quota? */
bool quota_may_refuse(const struct world *world, unsigned tenant, const struct key_counts *before,
		      const struct key_counts *after);
/* It was not: was that right? */
bool quota_check_accepted(struct world *world, unsigned tenant, const struct key_counts *before,
			  const struct key_counts *after);
/* Somebody sets one. */
bool quota_set(struct world *world);

/* ---- shelf.c ---- */
/* Look at all checkpoints, after a start. */
bool shelf_check(struct world *world);
/* What the log keeps it keeps without a hole. */
bool shelf_check_log(struct world *world);
/* What was trimmed is in a checkpoint from before the window. `trimmed`: it has just been. */
bool shelf_check_window(struct world *world, const struct pd_engine_stats *stats, bool trimmed);
/* Between two lives the state may be lost. */
void shelf_lose_state(struct world *world);

/* ---- view.c ---- */
/* One is opened, or looked at. */
bool views_happen(struct world *world);
void views_end(struct world *world);
/* Hand a request to the engine and its outcome to the model. With `stage`, what the engine gets as its value is `tail`. */
bool work_execute(struct world *world, unsigned client, const struct request *request, struct pd_stage *stage,
		  size_t word, struct pd_slice tail);

/* ---- large.c: values that come and go in pieces ---- */
/* Shall the value of this request arrive in pieces? Then the client is busy with it from here on. */
bool large_begin(struct world *world, unsigned client, const struct request *request);
/* It arrives in pieces, whole; requests of nobody come between. */
bool large_put(struct world *world, unsigned client, const struct request *request);
/* More of it arrives, or its end, or it never will. */
bool large_go_on(struct world *world, unsigned client);
/* The reply in world->actual has holes: their bytes, as they should be, come into it, to be compared with the reader's later. */
bool large_fill(struct world *world, const struct pd_resp_writer *writer);
/* Read some of what is left to read. */
bool large_read(struct world *world);
/* The client goes. */
void large_drop(struct world *world, struct client *client);
void large_end(struct world *world);
/* Nothing is left where nothing is going on. */
bool large_check(struct world *world);

/* ---- verify.c ---- */
/* Compare everything that can be read with the model. */
bool verify_state(struct world *world);
/* Only how many keys there are, and what else is known of each actor. */
bool verify_counts(struct world *world);
bool verify_moments(struct world *world);

#endif
