#include "front/resp/hold.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "wire/resp.h"

#define CAPACITY_FIRST 4

void pd_resp_hold_done(struct pd_resp_hold *hold)
{
	pd_free(hold->entries);
	*hold = (struct pd_resp_hold){ .shown = hold->shown };
}

static int make_room(struct pd_resp_hold *hold)
{
	size_t capacity = hold->capacity == 0 ? CAPACITY_FIRST : hold->capacity * 2;
	struct pd_resp_held *grown;

	if (hold->first > 0) {
		memmove(hold->entries, hold->entries + hold->first, hold->count * sizeof *hold->entries);
		hold->first = 0;
		return 0;
	}
	grown = pd_realloc(hold->entries, capacity * sizeof *grown);
	if (grown == NULL)
		return PD_NO_MEMORY;
	hold->entries = grown;
	hold->capacity = capacity;
	return 0;
}

void pd_resp_wait_longer(struct pd_wait *wait, const struct pd_wait *other)
{
	if (wait->durable_lsn < other->durable_lsn)
		wait->durable_lsn = other->durable_lsn;
	if (wait->written_lsn < other->written_lsn)
		wait->written_lsn = other->written_lsn;
	if (wait->applied_lsn < other->applied_lsn)
		wait->applied_lsn = other->applied_lsn;
}

static int add(struct pd_resp_hold *hold, const struct pd_engine *engine, uint64_t end,
	       const struct pd_wait *wait, uint64_t turn, size_t replies)
{
	static const struct pd_wait nothing = { 0 };
	struct pd_resp_held *last;

	if (hold->count == 0) {
		if (wait == NULL || pd_engine_settled(engine, wait) == 1) {
			hold->shown = end;
			return 0;
		}
	} else {
		last = hold->entries + hold->first + hold->count - 1;
		PD_ASSERT(last->end <= end);
		if (last->turn == turn) {
			last->end = end;
			last->replies += replies;
			if (wait != NULL && !pd_plant(PD_PLANT_TURN_WAITS_FOR_FIRST))
				pd_resp_wait_longer(&last->wait, wait);
			return 0;
		}
	}
	if (hold->first + hold->count == hold->capacity) {
		int result = make_room(hold);

		if (result != 0)
			return result;
	}
	last = hold->entries + hold->first + hold->count++;
	*last = (struct pd_resp_held){
		.end = end, .turn = turn, .replies = replies, .wait = wait != NULL ? *wait : nothing
	};
	return 0;
}

int pd_resp_hold_add(struct pd_resp_hold *hold, const struct pd_engine *engine, uint64_t end,
		     const struct pd_wait *wait, uint64_t turn)
{
	return add(hold, engine, end, wait, turn, 1);
}

int pd_resp_hold_add_push(struct pd_resp_hold *hold, const struct pd_engine *engine, uint64_t end,
			  const struct pd_wait *wait, uint64_t turn)
{
	return add(hold, engine, end, wait, turn, 0);
}

int pd_resp_hold_release(struct pd_resp_hold *hold, const struct pd_engine *engine)
{
	while (hold->count > 0) {
		const struct pd_resp_held *oldest = hold->entries + hold->first;
		int settled = pd_engine_settled(engine, pd_plant(PD_PLANT_REPLY_OVERTAKES)
								? &oldest[hold->count - 1].wait
								: &oldest->wait);

		if (settled != 1)
			return settled;
		hold->shown = oldest->end;
		hold->first++;
		hold->count--;
	}
	hold->first = 0;
	return 0;
}

bool pd_resp_hold_last_settles(const struct pd_resp_hold *hold, const struct pd_engine *engine)
{
	PD_ASSERT(hold->count > 0);
	return pd_engine_settled(engine, &hold->entries[hold->first + hold->count - 1].wait) == 1;
}

int pd_resp_hold_fence(struct pd_resp_hold *hold, const struct pd_engine *engine, struct pd_buffer *output,
		       uint64_t base, const char *text)
{
	struct pd_buffer fresh;
	struct pd_resp_writer writer = { .buffer = &fresh, .protocol = 2 };
	uint64_t begin = hold->shown;

	pd_buffer_init(&fresh, output->max);
	pd_resp_write_raw(&writer, pd_slice(output->data, (size_t)(begin - base)));
	for (size_t i = 0; i < hold->count; i++) {
		const struct pd_resp_held *held = hold->entries + hold->first + i;

		if (pd_engine_settled(engine, &held->wait) == 1)
			pd_resp_write_raw(&writer, pd_slice(output->data + (begin - base),
							    (size_t)(held->end - begin)));
		else
			for (size_t reply = 0; reply < held->replies; reply++)
				pd_resp_write_error(&writer, text);
		begin = held->end;
	}
	PD_ASSERT(begin - base == output->size);
	if (writer.failed != 0) {
		pd_buffer_done(&fresh);
		return writer.failed;
	}
	pd_buffer_done(output);
	*output = fresh;
	hold->first = 0;
	hold->count = 0;
	hold->shown = base + output->size;
	return 0;
}
