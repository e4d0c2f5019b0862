/* Writes in flight on the real machine: io_uring (https://kernel.dk/io_uring.pdf), one ring a queue.
 *
 * Each write takes a slot; the slot's number is the ring's user data. A write that comes back short goes to
 * the ring again for the rest, so that the caller sees one completion for the whole of it.
 *
 * How it fails: a ring that the kernel refuses (old, seccomp in a container, sysctl kernel.io_uring_disabled)
 * is PD_NOT_SUPPORTED at birth. Later a write fails alone, in its completion. What io_uring_submit() could not
 * hand over stays in the ring and goes with the next call: reap repeats it, and the descriptor is made
 * readable so that somebody reaps. */
#include <errno.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"
#include "os/real_private.h"

struct slot {
	struct pd_real_file *file; /* NULL: free */
	const uint8_t *data;
	size_t size, done;
	uint64_t offset, token;
	unsigned next_free;
};

struct real_queue {
	struct pd_os_queue base;
	struct io_uring ring;
	int event; /* readable while completions wait */
	unsigned first_free;
	struct slot slots[];
};

static bool is_refusal(int errnum)
{
	/* ENOMEM: before Linux 5.12 the ring counts against RLIMIT_MEMLOCK. */
	return errnum == ENOSYS || errnum == EPERM || errnum == EACCES || errnum == EINVAL ||
	       errnum == ENOMEM || errnum == EOPNOTSUPP;
}

int pd_real_queue_new(struct pd_os *os, unsigned depth, struct pd_os_queue **ret_queue, struct pd_error *err)
{
	struct real_queue *queue;
	int rc;

	queue = pd_calloc(1, sizeof *queue + depth * sizeof queue->slots[0]);
	if (queue == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot make a write queue: out of memory");
	queue->base = (struct pd_os_queue){ .os = os, .depth = depth };
	for (unsigned i = 0; i < depth; i++)
		queue->slots[i].next_free = i + 1;
	queue->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->event < 0) {
		rc = pd_error_system(err, errno, "cannot make an event descriptor for a write queue");
		goto fail;
	}
	rc = -io_uring_queue_init(depth, &queue->ring, 0);
	if (rc == 0) {
		rc = -io_uring_register_eventfd(&queue->ring, queue->event);
		if (rc != 0)
			io_uring_queue_exit(&queue->ring);
	}
	if (rc != 0) {
		if (is_refusal(rc))
			rc = pd_error_set(err, PD_NOT_SUPPORTED,
					  "the kernel refuses io_uring (errno %d); writes go one at a time",
					  rc);
		else
			rc = pd_error_system(err, rc, "cannot make a write queue");
		goto fail;
	}
	*ret_queue = &queue->base;
	return 0;
fail:
	if (queue->event >= 0)
		(void)close(queue->event);
	pd_free(queue);
	return rc;
}

static void signal_event(struct real_queue *queue)
{
	uint64_t one = 1;

	while (write(queue->event, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void clear_event(struct real_queue *queue)
{
	uint64_t count;

	while (read(queue->event, &count, sizeof count) < 0 && errno == EINTR)
		;
}

/* 0 or an errno. */
static int submit(struct real_queue *queue, bool wait)
{
	int rc;

	do
		rc = wait ? io_uring_submit_and_wait(&queue->ring, 1) : io_uring_submit(&queue->ring);
	while (rc == -EINTR);
	return rc < 0 ? -rc : 0;
}

/* Put what is left of a slot's write into the ring. */
static void prepare(struct real_queue *queue, unsigned index)
{
	struct slot *slot = &queue->slots[index];
	struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);
	size_t left = slot->size - slot->done;

	/* The ring has at least as many entries as there are slots, and each slot is there once. */
	PD_ASSERT(sqe != NULL);
	if (left > 1U << 30)
		left = 1U << 30;
	io_uring_prep_write(sqe, slot->file->fd, slot->data + slot->done, (unsigned)left,
			    slot->offset + slot->done);
	io_uring_sqe_set_data64(sqe, index);
}

int pd_real_queue_write(struct pd_os_queue *base, struct pd_os_file *file, const void *data, size_t size,
			uint64_t offset, uint64_t token, struct pd_error *err)
{
	struct real_queue *queue = (struct real_queue *)base;
	unsigned index = queue->first_free;
	struct slot *slot = &queue->slots[index];

	(void)err;
	PD_ASSERT(index < base->depth && slot->file == NULL);
	queue->first_free = slot->next_free;
	*slot = (struct slot){ .file = (struct pd_real_file *)file,
			       .data = data,
			       .size = size,
			       .offset = offset,
			       .token = token };
	base->in_flight++;
	file->in_flight++;
	prepare(queue, index);
	if (submit(queue, false) != 0)
		signal_event(queue);
	return 0;
}

/* Take one result from the ring. True when the slot's write has ended, with *ret_errnum saying how. */
static bool settle(struct real_queue *queue, unsigned index, int result, int *ret_errnum)
{
	struct slot *slot = &queue->slots[index];
	size_t alignment = slot->file->base.alignment;

	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		*ret_errnum = -result;
		return true;
	}
	if (result >= 0) {
		size_t put = (size_t)result - (size_t)result % alignment;

		slot->done += put;
		if (slot->done == slot->size) {
			*ret_errnum = 0;
			return true;
		}
		if (put == 0) {
			*ret_errnum = EIO;
			return true;
		}
	}
	prepare(queue, index);
	return false;
}

static void release(struct real_queue *queue, unsigned index)
{
	struct slot *slot = &queue->slots[index];

	slot->file->base.in_flight--;
	slot->file = NULL;
	slot->next_free = queue->first_free;
	queue->first_free = index;
	queue->base.in_flight--;
}

/* Collect what the ring has. */
static unsigned collect(struct real_queue *queue, struct pd_os_completion *completions, unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned count = 0;

	while (count < max && io_uring_peek_cqe(&queue->ring, &cqe) == 0) {
		unsigned index = (unsigned)io_uring_cqe_get_data64(cqe);
		int result = cqe->res, errnum;

		io_uring_cqe_seen(&queue->ring, cqe);
		PD_ASSERT(index < queue->base.depth && queue->slots[index].file != NULL);
		if (!settle(queue, index, result, &errnum))
			continue;
		completions[count++] = (struct pd_os_completion){
			.token = queue->slots[index].token,
			.result = errnum != 0 ? pd_error_system(NULL, errnum, "write") : 0,
			.errnum = errnum,
		};
		release(queue, index);
	}
	return count;
}

int pd_real_queue_reap(struct pd_os_queue *base, struct pd_os_completion *completions, unsigned max,
		       bool wait, unsigned *ret_count, struct pd_error *err)
{
	struct real_queue *queue = (struct real_queue *)base;
	unsigned count;
	int errnum = 0;

	/* First the event, then the ring: what ends in between sets the event again. */
	clear_event(queue);
	count = collect(queue, completions, max);
	for (;;) {
		bool must_wait = wait && count == 0 && base->in_flight > 0;

		if (!must_wait && io_uring_sq_ready(&queue->ring) == 0)
			break;
		errnum = submit(queue, must_wait);
		if (errnum == EAGAIN || errnum == EBUSY)
			errnum = 0; /* the kernel is short of something that passes */
		else if (errnum != 0)
			break;
		if (!must_wait)
			break;
		count += collect(queue, completions + count, max - count);
	}
	if (io_uring_cq_ready(&queue->ring) > 0 || io_uring_sq_ready(&queue->ring) > 0)
		signal_event(queue);
	if (errnum != 0 && count == 0)
		return pd_error_system(err, errnum, "cannot wait for queued writes");
	*ret_count = count;
	return 0;
}

void pd_real_queue_free(struct pd_os_queue *base)
{
	struct real_queue *queue = (struct real_queue *)base;
	struct pd_os_completion completion;
	unsigned count;

	/* The kernel reads the callers' memory until the last one has ended, so there is no way round. */
	while (base->in_flight > 0)
		PD_ASSERT(pd_real_queue_reap(base, &completion, 1, true, &count, NULL) == 0);
	io_uring_queue_exit(&queue->ring);
	(void)close(queue->event);
	pd_free(queue);
}

int pd_real_queue_descriptor(struct pd_os_queue *base)
{
	return ((struct real_queue *)base)->event;
}
