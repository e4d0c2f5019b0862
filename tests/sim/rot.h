/* Rot: damage at rest in a data directory of the production engine, and an oracle that knows what is true. */
#ifndef PD_TESTS_SIM_ROT_H
#define PD_TESTS_SIM_ROT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chance.h"
#include "engine/engine.h"
#include "log/log.h"
#include "os/os.h"
#include "os/sim.h"

#define ROT_ACTORS_MAX 40
#define ROT_LOG        "data/log/0000"

/* ---- a directory as it was left: rot_image.c ---- */

struct image_file {
	char path[120];
	uint8_t *data;
	uint64_t size;
};

struct image {
	struct image_file *files;
	size_t count, capacity;
	uint64_t log_bytes;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t segment_bytes;
	struct pd_engine_options options;
	size_t checkpoint_first, checkpoint_count; /* files of its checkpoint; they follow each other */
	/* What is true of it. */
	struct {
		uint64_t id;
		char name[40];
		struct pd_hash128 hash;
	} actors[ROT_ACTORS_MAX];
	size_t actor_count;
};

enum image_kind {
	IMAGE_LOG,        /* all state comes from the log, whose last segment was never sealed */
	IMAGE_CHECKPOINT, /* no live levels: a checkpoint must take their place, or the log, which is all there */
	IMAGE_TRIMMED, /* the same, and the log begins behind the checkpoint */
	IMAGE_LIVE,    /* live levels, a checkpoint, and the log all there */
};

/* Play a workload until the log has about so many bytes, kill the process, and look at what it left. Ends the program if that
 * does not work: it is not what is tested here. */
void image_make(struct image *image, enum image_kind kind, uint64_t log_bytes, uint32_t segment_bytes,
		uint64_t seed);
void image_done(struct image *image);
/* A machine with these files; with `log_only` those of the log alone. */
struct pd_os *image_machine(const struct image *image, bool log_only);
/* Open the engine on it, as far as that goes; with an error nothing is open. */
PD_MUST_CHECK int image_open_engine(const struct image *image, struct pd_os *os,
				    struct pd_engine **ret_engine, struct pd_error *err);
const struct image_file *image_find(const struct image *image, const char *path);

/* ---- what the log holds: rot_truth.c ---- */

/* A group, and the records that begin in it; a frame of a large record has that one. */
struct true_group {
	uint32_t segment;
	uint64_t sector, sectors, first_lsn, last_lsn, durable_lsn;
	bool frame;
};

struct true_record {
	uint64_t hash, epoch;
	size_t actors_at;
	unsigned actor_count;
	bool system;       /* names and idempotency keys are in it */
	bool epoch_begins; /* the record of an epoch itself: it concerns nobody */
};

struct truth {
	struct true_record *records; /* LSN n is records[n - 1] */
	size_t count, capacity;
	uint64_t *actors;
	size_t actor_count, actor_capacity;
	struct true_group *groups; /* in the order of the log */
	size_t group_count, group_capacity;
	uint32_t first_segment, last_segment;
};

void truth_make(struct truth *truth, const struct image *image);
void truth_done(struct truth *truth);
/* The first record that begins in this segment; what is before it is not there when nothing is read but this segment. */
uint64_t truth_first_lsn(const struct truth *truth, uint32_t segment);
/* The last that ends before it. */
uint64_t truth_last_before(const struct truth *truth, uint32_t segment);
const char *segment_path(uint32_t number); /* of four, each valid until the fourth call after it */

/* ---- one case: rot_judge.c ---- */

enum outcome_kind {
	OUTCOME_UNSEEN,   /* where nothing is in use, and nothing came of it */
	OUTCOME_WHOLE,    /* found; no record is concerned */
	OUTCOME_LOST,     /* records are lost and named */
	OUTCOME_CUT,      /* a tail that nothing proves, cut */
	OUTCOME_REFUSED,  /* nothing is served, for a reason that is said */
	OUTCOME_REPLACED, /* found; another state took the place of the damaged one */
	OUTCOME_COUNT,
};
extern const char *const outcome_names[OUTCOME_COUNT];

/* What was damaged: bytes of one segment. */
struct hit {
	uint32_t segment;
	uint64_t from, to; /* bytes */
};
#define HITS_MAX 4

struct verdict {
	enum outcome_kind kind;
	uint64_t
		hash; /* of all that was said: two cases with the same are the same to whoever reads the log */
	uint64_t lost;       /* records */
	bool unknown_actors; /* nothing tells whose they are */
	char failure[400];   /* "": right */
};

struct look {
	struct pd_os *os;
	const struct image *image;
	const struct truth *truth;
	uint64_t from_lsn;
	uint64_t until_lsn; /* what is behind it is not read; 0: to the end */
	uint64_t last_lsn;  /* of what this machine was given; the truth may go on */
	uint32_t first_segment, last_segment;
	uint64_t end_sector; /* of the last segment: groups from here on were taken away; UINT64_MAX: none */
	const struct hit *hits;
	size_t hit_count;
	bool may_cut; /* sectors are missing, as after a write that was not finished */
};

/* Read the log with the production reader and judge what it says. */
void judge_log(const struct look *look, struct verdict *verdict);
/* Open the engine on this machine and judge whom it serves. `truth` is NULL where the log is not what was damaged. */
void judge_engine(struct pd_os *os, const struct image *image, const struct truth *truth,
		  struct verdict *verdict);

/* ---- damage of all kinds: rot_damage.c ---- */

/* A few segments of a log on a machine of their own, to be damaged and put right again and again. */
struct window {
	struct image part;
	struct pd_os *os;
	struct look look;
	uint8_t *pristine; /* of the segment that is damaged */
	uint64_t size;     /* of its file */
	uint64_t used;     /* bytes of it that are in use */
	uint32_t segment;
};
/* Two or three segments around one that chance picks. Every second one ends with a group of it, as if nothing had been written
 * after it. */
void window_open(struct window *window, const struct image *image, const struct truth *truth,
		 struct chance *chance);
void window_close(struct window *window);
/* Damage it as chance wants, judge, put it right. *ret_text: what was done, in words; *ret_case: a number for it. */
void window_try(struct window *window, struct chance *chance, struct verdict *verdict, char text[160],
		uint64_t *ret_case);

#endif
