/* The directories that are damaged: made by the production engine on a simulated machine, by a life with several epochs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "engine/manifest.h"
#include "engine/upkeep.h"
#include "model/kv/kv.h"
#include "rot.h"

#define VALUE_MAX 40000u

struct life {
	struct image *image;
	struct pd_os *os;
	struct pd_engine *engine;
	struct pd_session *session;
	struct chance chance;
	uint8_t *value;
	const struct pd_command *set;
};

static _Noreturn void give_up(const char *what, const char *why)
{
	(void)fprintf(stderr, "rot: cannot make a directory to damage: %s: %s\n", what, why);
	exit(2);
}

static void *take_memory(void *memory)
{
	if (memory == NULL)
		give_up("memory", "there is none");
	return memory;
}

/* ---- the life ---- */

static void open_engine(struct life *life)
{
	struct pd_recovery recovery = { 0 };
	struct pd_error err = { 0 };

	life->image->options.os = life->os;
	if (pd_engine_open(&life->image->options, &life->engine, &err) != 0)
		give_up("open", err.text);
	while (!recovery.done)
		if (pd_engine_recover(life->engine, 100000, &recovery, &err) != 0)
			give_up("recover", err.text);
	life->session = take_memory(pd_session_new(life->engine, 1, "rot", ""));
}

static void end_engine(struct life *life, bool kill)
{
	struct pd_error err = { 0 };

	pd_session_free(life->session);
	if (kill)
		pd_sim_process_crash(life->os);
	if (pd_engine_close(life->engine, &err) != 0 && !kill)
		give_up("close", err.text);
}

static void step(struct life *life)
{
	if (pd_engine_step(life->engine) != 0)
		give_up("step", pd_engine_fence_text(life->engine));
}

/* One write, which begins a new group every now and then. */
static void write_one(struct life *life, unsigned actor, bool strict)
{
	char key[80];
	struct pd_slice words[3];
	struct pd_request_command command = { .command = life->set, .words = words, .count = 3 };
	struct pd_request request = { .session = life->session,
				      .commands = &command,
				      .count = 1,
				      .level = strict ? PD_LEVEL_STRICT : PD_LEVEL_STANDARD };
	struct pd_buffer reply;
	struct pd_resp_writer writer = { .buffer = &reply, .protocol = 2 };
	struct pd_receipt receipt;
	struct pd_error err = { 0 };
	size_t size = 1 + (size_t)chance_spread(&life->chance,
						chance_one_in(&life->chance, 60) ? VALUE_MAX : 900);
	int result;

	(void)snprintf(key, sizeof key, "{actor-%u}:%u", actor, (unsigned)chance_below(&life->chance, 50));
	memset(life->value, (int)chance_below(&life->chance, 256), size);
	memcpy(life->value, &life->chance, size < 8 ? size : 8);
	words[0] = pd_slice_string("set");
	words[1] = pd_slice_string(key);
	words[2] = pd_slice(life->value, size < VALUE_MAX ? size : VALUE_MAX);
	if (chance_one_in(&life->chance, 30))
		request.idempotency_key = words[1];
	pd_buffer_init(&reply, 4096);
	while ((result = pd_engine_execute(life->engine, &request, &writer, &receipt, &err)) == PD_AGAIN) {
		pd_sim_advance_us(life->os, receipt.retry_us);
		step(life);
	}
	if (result != 0 && result != PD_EXISTS)
		give_up("write", err.text);
	pd_buffer_done(&reply);
}

static uint64_t log_bytes(const struct life *life)
{
	struct pd_engine_stats stats;

	pd_engine_stats(life->engine, &stats);
	return stats.log.bytes_written;
}

/* One epoch: so much log, then an end that nobody planned. */
static void live(struct life *life, uint64_t bytes, unsigned actors)
{
	while (log_bytes(life) < bytes) {
		unsigned records = 1 + (unsigned)chance_spread(&life->chance, 40);
		bool strict = !chance_one_in(&life->chance, 5);

		for (unsigned i = 0; i < records; i++)
			write_one(life, (unsigned)chance_below(&life->chance, actors), strict);
		step(life);
		if (chance_one_in(&life->chance, 20)) {
			pd_sim_advance_us(life->os, 200000);
			step(life);
		}
	}
	for (int i = 0; i < 4; i++) {
		pd_sim_advance_us(life->os, 200000);
		step(life);
	}
}

static void keep_up(struct life *life, enum pd_upkeep_kind kind)
{
	struct pd_upkeep_status status;
	struct pd_error err = { 0 };

	if (pd_engine_upkeep_start(life->engine, kind, &err) != 0)
		give_up("upkeep", err.text);
	do {
		pd_sim_advance_us(life->os, 10000);
		step(life);
		pd_engine_upkeep_status(life->engine, &status);
	} while (status.running);
	if (status.result != 0)
		give_up("upkeep", status.text);
}

/* ---- the files ---- */

static void add_file(struct image *image, struct pd_os *os, const char *path)
{
	struct image_file *file;
	const uint8_t *data;
	uint64_t size;

	image->files = take_memory(
		pd_grow(image->files, image->count, &image->capacity, sizeof *image->files, 64));
	if (pd_sim_content(os, path, &data, &size) != 0)
		give_up(path, "cannot be read");
	file = &image->files[image->count++];
	(void)snprintf(file->path, sizeof file->path, "%s", path);
	file->data = take_memory(malloc(size + 1));
	memcpy(file->data, data, size);
	file->size = size;
}

static void add_tree(struct image *image, struct pd_os *os, const char *directory)
{
	struct pd_os_names names;
	char path[120];

	if (pd_os_list(os, directory, &names, NULL) != 0)
		give_up(directory, "cannot be listed");
	for (size_t i = 0; i < names.count; i++) {
		struct pd_os_file_info info;

		(void)snprintf(path, sizeof path, "%.60s/%.58s", directory, names.names[i]);
		if (pd_os_info(os, path, &info, NULL) != 0)
			give_up(path, "is not there");
		if (info.is_directory)
			add_tree(image, os, path);
		else
			add_file(image, os, path);
	}
	pd_os_names_done(&names);
}

const struct image_file *image_find(const struct image *image, const char *path)
{
	for (size_t i = 0; i < image->count; i++)
		if (strcmp(image->files[i].path, path) == 0)
			return &image->files[i];
	return NULL;
}

static void drop_file(struct image *image, size_t at)
{
	free(image->files[at].data);
	memmove(&image->files[at], &image->files[at + 1], (image->count - at - 1) * sizeof *image->files);
	image->count--;
}

/* Every directory on the way: made, or its names made durable. */
static void each_directory(struct pd_os *os, const char *path,
			   int (*act)(struct pd_os *, const char *, struct pd_error *))
{
	char parent[120];

	for (const char *at = path; (at = strchr(at, '/')) != NULL; at++) {
		(void)snprintf(parent, sizeof parent, "%.*s", (int)(at - path), path);
		(void)!act(os, parent, NULL);
	}
}

struct pd_os *image_machine(const struct image *image, bool log_only)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os;
	struct pd_error err = { 0 };

	options.seed = 1;
	options.start_real_us = UINT64_C(1800000000000000); /* later than all that is in the log */
	if (pd_os_sim_new(&options, &os, &err) != 0)
		give_up("machine", err.text);
	for (size_t i = 0; i < image->count; i++) {
		const struct image_file *from = &image->files[i];
		struct pd_os_file *file;

		if (log_only && strncmp(from->path, ROT_LOG, sizeof ROT_LOG - 1) != 0)
			continue;
		each_directory(os, from->path, pd_os_mkdir);
		if (pd_os_open(os, from->path, PD_OS_WRITE | PD_OS_CREATE | PD_OS_SYNCED, &file, &err) != 0 ||
		    pd_os_write(file, from->data, from->size, 0, &err) != 0)
			give_up(from->path, err.text);
		pd_os_close(file);
	}
	for (size_t i = 0; i < image->count && !log_only; i++)
		each_directory(os, image->files[i].path, pd_os_sync_directory);
	if (pd_os_sync_directory(os, ".", &err) != 0)
		give_up("machine", err.text);
	return os;
}

int image_open_engine(const struct image *image, struct pd_os *os, struct pd_engine **ret_engine,
		      struct pd_error *err)
{
	struct pd_engine_options options = image->options;
	struct pd_recovery recovery = { 0 };
	int result;

	options.os = os;
	result = pd_engine_open(&options, ret_engine, err);
	if (result != 0) {
		*ret_engine = NULL;
		return result;
	}
	while (result == 0 && !recovery.done)
		result = pd_engine_recover(*ret_engine, UINT64_MAX, &recovery, err);
	if (result != 0) {
		(void)pd_engine_close(*ret_engine, NULL);
		*ret_engine = NULL;
	}
	return result;
}

/* ---- what is true of it ---- */

static void note_actors(struct life *life)
{
	struct image *image = life->image;
	struct pd_actor_place place;
	uint64_t looks = UINT64_MAX, after = 0;
	struct pd_error err = { 0 };

	while (pd_engine_next_actor(life->engine, life->session, pd_slice(NULL, 0), after, &looks, &place,
				    &err) == 1) {
		if (image->actor_count == ROT_ACTORS_MAX)
			give_up("actors", "too many");
		after = place.id;
		image->actors[image->actor_count].id = place.id;
		(void)snprintf(image->actors[image->actor_count].name, 40, "%.*s", (int)place.name.size,
			       (const char *)place.name.data);
		if (pd_engine_state_hash(life->engine, life->session, place.name,
					 &image->actors[image->actor_count].hash, &err) != 0)
			give_up("hash", err.text);
		image->actor_count++;
	}
	if (image->actor_count < 3)
		give_up("actors", "too few");
}

static void note_checkpoint(struct image *image)
{
	image->checkpoint_first = SIZE_MAX;
	for (size_t i = 0; i < image->count; i++) {
		if (strstr(image->files[i].path, "/checkpoint-") == NULL)
			continue;
		if (image->checkpoint_first == SIZE_MAX)
			image->checkpoint_first = i;
		image->checkpoint_count++;
	}
	if (image->checkpoint_count == 0)
		give_up("checkpoint", "there is none");
}

static void shape(struct image *image, enum image_kind kind, uint32_t segment_bytes)
{
	struct pd_engine_options *options = &image->options;

	*options = (struct pd_engine_options)PD_ENGINE_OPTIONS_DEFAULT;
	options->data_directory = "data";
	options->segment_bytes = segment_bytes;
	options->queue_depth = 1;
	options->random_seed = 1;
	options->memory_budget_bytes = UINT64_C(512) << 20;
	options->levels = kind == IMAGE_LOG ? PD_LEVELS_NONE : PD_LEVELS_PLAIN;
	if (kind == IMAGE_TRIMMED) {
		options->retention_s = 0;
		options->retention_bytes = 0;
		options->checkpoint_log_bytes = segment_bytes;
	}
}

void image_make(struct image *image, enum image_kind kind, uint64_t bytes, uint32_t segment_bytes,
		uint64_t seed)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct life life = { .image = image, .chance = { seed } };
	struct pd_manifest manifest;
	struct pd_error err = { 0 };
	const unsigned epochs = 4;

	*image = (struct image){ .segment_bytes = segment_bytes };
	shape(image, kind, segment_bytes);
	machine.seed = seed;
	if (pd_os_sim_new(&machine, &life.os, &err) != 0)
		give_up("machine", err.text);
	life.value = take_memory(malloc(VALUE_MAX));
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (strcmp(pd_kv_commands[i].name, "set") == 0)
			life.set = &pd_kv_commands[i];
	for (unsigned epoch = 1; epoch <= epochs; epoch++) {
		open_engine(&life);
		live(&life, bytes / epochs, 4 + 4 * epoch);
		if (epoch == epochs - 1 && kind != IMAGE_LOG)
			keep_up(&life, kind == IMAGE_TRIMMED ? PD_UPKEEP_COMPACT_LOG : PD_UPKEEP_CHECKPOINT);
		if (epoch == epochs)
			note_actors(&life);
		end_engine(&life, epoch % 2 == 0);
	}
	add_tree(image, life.os, "data");
	if (pd_manifest_read(life.os, "data", &manifest, &err) != 0)
		give_up("manifest", err.text);
	memcpy(image->cluster_id, manifest.cluster_id, sizeof manifest.cluster_id);
	pd_os_free(life.os);
	free(life.value);
	for (size_t i = image->count; i-- > 0;)
		if ((kind != IMAGE_LIVE && strstr(image->files[i].path, "/live/") != NULL) ||
		    strstr(image->files[i].path, ".new") != NULL)
			drop_file(image, i);
	for (size_t i = 0; i < image->count; i++)
		if (strstr(image->files[i].path, ".seg") != NULL)
			image->log_bytes += image->files[i].size;
	if (kind != IMAGE_LOG)
		note_checkpoint(image);
}

void image_done(struct image *image)
{
	for (size_t i = 0; i < image->count; i++)
		free(image->files[i].data);
	pd_free(image->files);
}
