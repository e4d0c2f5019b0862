/* Followers, and what retention hears of them. */
#include "engine/follower.h"

#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/engine_private.h"

struct pd_follower {
	struct pd_engine *engine;
	struct pd_follower *next;
	uint64_t from_lsn;
	uint64_t since_us; /* monotonic */
	struct pd_follower_place place;
	struct pd_buffer open_index;
	atomic_bool served;
};

int pd_engine_follow(struct pd_engine *engine, uint64_t from_lsn, struct pd_follower **ret_follower,
		     struct pd_error *err)
{
	struct pd_log_position position;
	struct pd_follower *follower;
	unsigned count = 0;

	if (engine->options.in_memory)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "this server keeps everything in memory: it has no past to look at");
	if (!engine->recovered)
		return pd_error_set(err, PD_AGAIN, "the log is being replayed: try again when that is done");
	for (follower = engine->followers; follower != NULL; follower = follower->next)
		count++;
	if (count >= PD_FOLLOWERS_MAX)
		return pd_error_set(err, PD_BUSY,
				    "%u others look at the past already: try again when some have ended",
				    count);
	follower = pd_calloc(1, sizeof *follower);
	if (follower == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while looking at the past");
	follower->engine = engine;
	follower->from_lsn = from_lsn;
	follower->since_us = pd_engine_monotonic_us(engine);
	follower->place = (struct pd_follower_place){ .os = engine->os,
						      .data_directory = engine->data_directory,
						      .time_us = engine->clock.time_us };
	memcpy(follower->place.cluster_id, engine->manifest.cluster_id, PD_CLUSTER_ID_SIZE);
	/* So that the index has all of it; where the log cannot take it now, it does not, and the segment is read whole. */
	(void)!pd_engine_end_group(engine, &position);
	pd_engine_now(engine, &follower->place.epoch, &follower->place.lsn);
	pd_buffer_init(&follower->open_index, SIZE_MAX / 2);
	if (pd_log_open_index(engine->log, &follower->place.open_segment, &follower->open_index) != 0)
		follower->place.open_segment = 0;
	follower->place.open_index = pd_buffer_slice(&follower->open_index);
	atomic_init(&follower->served, true);
	follower->next = engine->followers;
	engine->followers = follower;
	*ret_follower = follower;
	return 0;
}

void pd_engine_unfollow(struct pd_follower *follower)
{
	struct pd_follower **at;

	if (follower == NULL)
		return;
	for (at = &follower->engine->followers; *at != follower; at = &(*at)->next)
		PD_ASSERT(*at != NULL);
	*at = follower->next;
	pd_buffer_done(&follower->open_index);
	pd_free(follower);
}

struct pd_follower_place pd_follower_place(const struct pd_follower *follower)
{
	return follower->place;
}

bool pd_follower_is_served(const struct pd_follower *follower)
{
	return atomic_load(&follower->served);
}

void pd_engine_keep_log(struct pd_engine *engine, uint64_t from_lsn)
{
	engine->kept_lsn = from_lsn;
}

uint64_t pd_engine_log_bytes_since(const struct pd_engine *engine, uint64_t lsn)
{
	return pd_log_bytes_since(engine->log, lsn);
}

uint64_t pd_engine_followed_lsn(struct pd_engine *engine)
{
	uint64_t now_us = pd_engine_monotonic_us(engine), age_us = engine->options.view_age_s * 1000000;
	uint64_t lsn = UINT64_MAX;

	for (struct pd_follower *follower = engine->followers; follower != NULL; follower = follower->next) {
		if (age_us != 0 && now_us - follower->since_us > age_us)
			atomic_store(&follower->served, false);
		if (atomic_load(&follower->served) && follower->from_lsn < lsn)
			lsn = follower->from_lsn;
	}
	return lsn;
}
