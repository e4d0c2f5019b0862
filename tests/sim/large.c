/* Values that come and go in pieces: uploads, which other things come between, and replies that are read later. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_evaluate.h"
#include "world.h"

#define AGAIN_MAX  20000u
#define SWEEPS_MAX 400u

/* ---- in ---- */

/* The value of a lone SET, SETNX or GETSET, as a word; 0: it is none of them. */
static size_t value_word(const struct request *request)
{
	const struct operation *operation = &request->operations[0];

	if (request->count != 1 || request->as_array || request->precondition_count > 0)
		return 0;
	if (operation->verb != VERB_SET && operation->verb != VERB_SETNX && operation->verb != VERB_GETSET)
		return 0;
	return (size_t)(request->commands[0].words - request->words) + 2;
}

bool large_begin(struct world *world, unsigned number, const struct request *request)
{
	struct client *client = &world->clients[number];
	size_t word = value_word(request);

	if (word == 0 || world->options.large_min == 0 ||
	    request->words[word].size < pd_stage_least(world->engine) ||
	    request->words[word].size < pd_stage_piece(world->engine) || chance_one_in(&world->chance, 3))
		return false;
	client->upload = (struct upload){ .stage = pd_stage_new(world->engine, client->session),
					  .request = request,
					  .word = word };
	world->totals->uploads++;
	return client->upload.stage != NULL || world_fail(world, "no memory for a stage");
}

void large_drop(struct world *world, struct client *client)
{
	world->totals->uploads_dropped += client->upload.stage != NULL;
	pd_stage_free(client->upload.stage);
	client->upload.stage = NULL;
}

/* The names that the first piece has made, if it has: where its key is. */
static void bear(struct world *world, const struct request *request, uint64_t lsn)
{
	struct evaluation e = { .oracle = &world->oracle, .request = request, .lsn = lsn };

	evaluation_bear(&e, request->operations[0].places[0].actor);
}

/* Has its actor been dropped since it began? */
static bool is_dropped(const struct world *world, const struct upload *upload)
{
	return upload->given > 0 && world->drop_lsn > upload->lsn;
}

static bool is_lost(const struct world *world, const struct upload *upload, int result)
{
	return result == PD_LOST && is_dropped(world, upload);
}

static bool give_piece(struct world *world, unsigned number, size_t size)
{
	struct client *client = &world->clients[number];
	struct upload *upload = &client->upload;
	struct pd_slice value = upload->request->words[upload->word];
	struct pd_receipt receipt;
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result;

	for (unsigned attempt = 0;; attempt++) {
		result = pd_stage_add(upload->stage, upload->request->words[upload->word - 1],
				      pd_slice(value.data + upload->given, size), &receipt, &err);
		if (result != PD_AGAIN || world_dead(world) || attempt == AGAIN_MAX)
			break;
		world->totals->braked++;
		pd_sim_advance_us(world->os, receipt.retry_us);
		if (!work_step(world))
			return false;
	}
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	world_say(world, "upload of client %u: %zu bytes at %zu -> %s, LSN %" PRIu64, number, size,
		  upload->given, pd_code_name(result), receipt.lsn);
	if (result != 0) {
		/* Whether its session may write there is asked with each piece. */
		bool right = is_lost(world, upload, result) || result == PD_STALE_EPOCH ||
			     work_check_refusal(world, &(struct outcome){ 0 }, result, &err);

		large_drop(world, client);
		return right;
	}
	if (upload->given == 0)
		upload->lsn = receipt.lsn;
	upload->given += size;
	bear(world, upload->request, receipt.lsn);
	work_note_write(world, &receipt);
	return true;
}

static bool finish(struct world *world, unsigned number)
{
	struct upload upload = world->clients[number].upload;
	struct request *request = arena_take(&world->arena, sizeof *request);
	struct pd_slice value = upload.request->words[upload.word];
	bool good;

	/* Its session may have claimed another epoch since the first piece. */
	*request = *upload.request;
	memcpy(request->claims, world->clients[number].claims[request->tenant], sizeof request->claims);
	world->may_be_lost = is_dropped(world, &upload);
	good = work_execute(world, number, request, upload.given > 0 ? upload.stage : NULL, upload.word,
			    pd_slice(value.data + upload.given, value.size - upload.given));

	world->may_be_lost = false;
	pd_stage_free(upload.stage);
	world->clients[number].upload.stage = NULL;
	return good;
}

bool large_go_on(struct world *world, unsigned number)
{
	struct upload *upload = &world->clients[number].upload;
	size_t piece = (size_t)pd_stage_piece(world->engine);
	size_t pieces = (upload->request->words[upload->word].size - upload->given) / piece;

	if (chance_one_in(&world->chance, 16)) {
		large_drop(world, &world->clients[number]);
		return true;
	}
	if (upload->given > 0 && chance_one_in(&world->side_chance, 10))
		return actor_replace(world, number);
	if (pieces == 0 || (upload->given > 0 && chance_one_in(&world->chance, 4)))
		return finish(world, number);
	return give_piece(world, number, piece * (1 + (size_t)chance_below(&world->chance, pieces)));
}

bool large_put(struct world *world, unsigned number, const struct request *request)
{
	struct client *client = &world->clients[number];
	size_t word = value_word(request);
	size_t piece = (size_t)pd_stage_piece(world->engine);

	if (word == 0 || request->words[word].size < pd_stage_least(world->engine) ||
	    request->words[word].size < piece)
		return work_request(world, number, request);
	client->upload = (struct upload){ .stage = pd_stage_new(world->engine, client->session),
					  .request = request,
					  .word = word };
	if (client->upload.stage == NULL)
		return world->sick || world_fail(world, "no memory for a stage");
	while (client->upload.stage != NULL && !world_dead(world) &&
	       request->words[word].size - client->upload.given >= piece)
		if (!give_piece(world, number, piece) || !work_step(world))
			return false;
	if (client->upload.stage != NULL && !world_dead(world))
		return finish(world, number);
	return true;
}

/* ---- out ---- */

/* The size of the bulk whose header ends at `at`. */
static size_t bulk_size(const struct pd_buffer *reply, size_t at)
{
	size_t begin = at - 2, size = 0;

	while (begin > 0 && reply->data[begin - 1] != '$')
		begin--;
	for (; begin < at - 2; begin++)
		size = 10 * size + (size_t)(reply->data[begin] - '0');
	return size;
}

static bool read_on(struct world *world, struct reading *reading, size_t most)
{
	struct pd_buffer bytes;
	struct pd_error err;
	size_t before = reading->at;
	int result;

	pd_buffer_init(&bytes, most);
	result = pd_blob_read(reading->reader, most, &bytes, &err);
	if (result < 0) {
		pd_buffer_done(&bytes);
		pd_blob_reader_free(reading->reader);
		reading->reader = NULL;
		return world_dead(world) || world_rotten(world) ||
		       (result == PD_LOST && world->drop_lsn > reading->lsn) ||
		       world_fail(world, "a value cannot be read on: %s", err.text);
	}
	reading->at += bytes.size;
	if (reading->at > reading->expected.size ||
	    memcmp(reading->expected.data + before, bytes.data, bytes.size) != 0 ||
	    (result == 0) != (reading->at == reading->expected.size))
		(void)world_fail(world, "what is read of a value, %zu to %zu, is not what it was", before,
				 reading->at);
	pd_buffer_done(&bytes);
	if (result == 0) {
		pd_blob_reader_free(reading->reader);
		reading->reader = NULL;
	}
	return !world->failed;
}

/* Where there is no place for another, one is read to its end. */
static struct reading *free_place(struct world *world)
{
	struct reading *place = &world->readings[chance_below(&world->chance, READINGS_MAX)];

	while (place->reader != NULL)
		if (!read_on(world, place, 1 + (size_t)chance_below(&world->chance, 5000)))
			return NULL;
	return place;
}

bool large_fill(struct world *world, const struct pd_resp_writer *writer)
{
	const struct pd_buffer *expected = &world->expected.bytes[writer->protocol == 3];
	size_t filled = 0;

	for (size_t i = 0; i < writer->hole_count; i++) {
		size_t at = writer->holes[i].at + filled;
		size_t size = bulk_size(&world->actual, at);
		struct reading *place = free_place(world);

		if (place == NULL || at + size > expected->size) {
			pd_blob_reader_free(writer->holes[i].source);
			return place != NULL &&
			       world_fail(world, "a reply announces %zu bytes too many", size);
		}
		*place = (struct reading){
			.reader = writer->holes[i].source,
			.lsn = world->newest_lsn,
			.expected = pd_slice(arena_copy(&world->arena, expected->data + at, size), size)
		};
		world->totals->readings++;
		if (pd_buffer_reserve(&world->actual, size) != 0)
			return world_fail(world, "out of memory");
		memmove(world->actual.data + at + size, world->actual.data + at, world->actual.size - at);
		memcpy(world->actual.data + at, expected->data + at, size);
		world->actual.size += size;
		filled += size;
	}
	return true;
}

bool large_read(struct world *world)
{
	struct reading *reading = &world->readings[chance_below(&world->chance, READINGS_MAX)];

	if (reading->reader == NULL)
		return true;
	if (!chance_one_in(&world->chance, 8))
		return read_on(world, reading, 1 + (size_t)chance_below(&world->chance, 5000));
	pd_blob_reader_free(reading->reader);
	reading->reader = NULL;
	return true;
}

/* ---- the end ---- */

void large_end(struct world *world)
{
	for (unsigned i = 0; i < WORLD_SESSIONS; i++)
		large_drop(world, &world->clients[i]);
	for (unsigned i = 0; i < READINGS_MAX; i++) {
		pd_blob_reader_free(world->readings[i].reader);
		world->readings[i].reader = NULL;
	}
}

bool large_check(struct world *world)
{
	struct pd_engine_stats stats;
	struct pd_error err;

	if (world_dead(world) || world->engine == NULL)
		return true;
	large_end(world);
	for (unsigned i = 0; i < SWEEPS_MAX && !world_dead(world); i++) {
		pd_engine_stats(world->engine, &stats);
		if (stats.large_unfinished == 0)
			break;
		pd_sim_advance_us(world->os, 20000);
		if (!work_step(world))
			return false;
	}
	/* On a full disk it stays until there is room. */
	if (world_dead(world) || world->sick || world->fenced || world->plagued ||
	    world->plague == PLAGUE_FULL)
		return true;
	if (stats.large_unfinished != 0)
		return world_fail(world, "%" PRIu64 " unfinished values are never removed",
				  stats.large_unfinished);
	if (pd_engine_check_large(world->engine, &err) != 0)
		return world_fail(world, "%s", err.text);
	return true;
}
