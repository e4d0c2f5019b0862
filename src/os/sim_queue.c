/* Writes in flight on the simulated machine. A write is carried out when it is reaped, in an order that the seed
 * picks, from the memory that the caller promised to leave alone; that promise is checked. */
#include <errno.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "os/sim_private.h"

struct entry {
	struct pd_sim_file *file;
	const void *data;
	size_t size;
	uint64_t offset, token;
	uint64_t hash; /* of data */
	int errnum;    /* decided when it was started */
};

struct pd_sim_queue {
	struct pd_os_queue base;
	struct pd_sim_queue *next, *previous;
	uint64_t process;
	struct entry entries[]; /* base.in_flight of them, in no order */
};

int pd_sim_queue_new(struct pd_os *os, unsigned depth, struct pd_os_queue **ret_queue, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	struct pd_sim_queue *queue;

	if (sim->crashed)
		return pd_sim_refuse(sim, PD_SIM_DEAD, 0, err, "make", "a write queue");
	if (!sim->options.queue_supported)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "the simulated kernel refuses write queues; writes go one at a time");
	queue = pd_calloc(1, sizeof *queue + depth * sizeof queue->entries[0]);
	if (queue == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot make a write queue: out of memory");
	queue->base = (struct pd_os_queue){ .os = os, .depth = depth };
	queue->process = sim->process;
	queue->next = sim->queues;
	if (queue->next != NULL)
		queue->next->previous = queue;
	sim->queues = queue;
	*ret_queue = &queue->base;
	return 0;
}

int pd_sim_queue_write(struct pd_os_queue *base, struct pd_os_file *file, const void *data, size_t size,
		       uint64_t offset, uint64_t token, struct pd_error *err)
{
	struct pd_sim_queue *queue = (struct pd_sim_queue *)base;
	struct pd_sim_file *target = (struct pd_sim_file *)file;
	struct pd_sim *sim = pd_sim_of(base->os);
	enum pd_sim_verdict verdict = PD_SIM_DEAD;
	struct entry entry = { .file = target,
			       .data = data,
			       .size = size,
			       .offset = offset,
			       .token = token,
			       .hash = pd_hash64(pd_slice(data, size), 0) };

	if (queue->process == sim->process && target->process == sim->process)
		verdict = pd_sim_begin(sim, PD_OS_OP_WRITE, target->node->id, size, offset, &entry.errnum);
	if (verdict == PD_SIM_DIES)
		pd_sim_file_tear(target, data, size, offset, PD_SIM_PART_ANY);
	if (verdict == PD_SIM_DIES || verdict == PD_SIM_DEAD)
		return pd_sim_refuse(sim, verdict, 0, err, "write", target->path);
	if (verdict == PD_SIM_GO)
		entry.errnum = 0;
	pd_sim_trace(sim, entry.hash);
	pd_sim_trace(sim, token);
	queue->entries[base->in_flight++] = entry;
	file->in_flight++;
	return 0;
}

/* Take one out of the queue. */
static struct entry take(struct pd_sim_queue *queue, unsigned index)
{
	struct entry entry = queue->entries[index];

	queue->entries[index] = queue->entries[--queue->base.in_flight];
	entry.file->base.in_flight--;
	PD_ASSERT(entry.hash == pd_hash64(pd_slice(entry.data, entry.size), 0));
	return entry;
}

static int finish(const struct entry *entry)
{
	if (entry->errnum == 0)
		return pd_sim_file_put(entry->file, entry->data, entry->size, entry->offset);
	pd_sim_file_put_part(entry->file, entry->data, entry->size, entry->offset, PD_SIM_PART_ANY);
	return entry->errnum;
}

int pd_sim_queue_reap(struct pd_os_queue *base, struct pd_os_completion *completions, unsigned max, bool wait,
		      unsigned *ret_count, struct pd_error *err)
{
	struct pd_sim_queue *queue = (struct pd_sim_queue *)base;
	struct pd_sim *sim = pd_sim_of(base->os);
	unsigned count, limit = base->in_flight < max ? base->in_flight : max;

	if (sim->crashed || queue->process != sim->process)
		return pd_sim_refuse(sim, PD_SIM_DEAD, 0, err, "wait for", "queued writes");
	if (limit == 0)
		count = 0;
	else if (wait)
		count = 1 + (unsigned)pd_sim_random_below(&sim->random, limit);
	else
		count = (unsigned)pd_sim_random_below(&sim->random, limit + 1U);
	for (unsigned i = 0; i < count; i++) {
		struct entry entry = take(queue,
					  (unsigned)pd_sim_random_below(&sim->random, base->in_flight));
		int errnum = finish(&entry);

		pd_sim_trace(sim, entry.token);
		pd_sim_trace(sim, (uint64_t)errnum);
		completions[i] = (struct pd_os_completion){
			.token = entry.token,
			.result = errnum != 0 ? pd_error_system(NULL, errnum, "write") : 0,
			.errnum = errnum,
		};
	}
	*ret_count = count;
	return 0;
}

/* End all that is in flight: as it should, or as it comes when the process is gone. */
static void drain(struct pd_sim_queue *queue, bool dead)
{
	struct pd_sim *sim = pd_sim_of(queue->base.os);

	while (queue->base.in_flight > 0) {
		struct entry entry = take(queue,
					  (unsigned)pd_sim_random_below(&sim->random, queue->base.in_flight));

		if (dead)
			pd_sim_file_tear(entry.file, entry.data, entry.size, entry.offset, PD_SIM_PART_ANY);
		else
			(void)finish(&entry);
	}
}

void pd_sim_queue_free(struct pd_os_queue *base)
{
	struct pd_sim_queue *queue = (struct pd_sim_queue *)base;
	struct pd_sim *sim = pd_sim_of(base->os);

	drain(queue, sim->crashed);
	if (queue->next != NULL)
		queue->next->previous = queue->previous;
	if (queue->previous != NULL)
		queue->previous->next = queue->next;
	else
		sim->queues = queue->next;
	pd_free(queue);
}

int pd_sim_queue_descriptor(struct pd_os_queue *base)
{
	(void)base;
	return -1;
}

void pd_sim_queues_abandon(struct pd_sim *sim)
{
	for (struct pd_sim_queue *queue = sim->queues; queue != NULL; queue = queue->next)
		drain(queue, true);
}
