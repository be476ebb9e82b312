/* Mappings that change while a page is asked about, at every instruction. */
#include "unit.h"

#include "core/usermem.h"
#include "step.h"

TestSuite(core_usermem_step, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { PAGE = 1 << USERMEM_PAGE_BITS };

/* A page whose leave goes, and another one that takes the same place in the memory of pages. */
static struct {
	char *map, *page, *other;
} met;

static void prepare(void *arg)
{
	(void)arg;
	cr_assert_eq(mprotect(met.page, PAGE, PROT_READ | PROT_WRITE), 0);
	usermem_forget();
}

static void ask_for_page(void *arg)
{
	(void)arg;
	usermem_storable(met.page, 8);
}

static void load_then_store(void *arg)
{
	(void)arg;
	usermem_loadable(met.page, 8);
	usermem_storable(met.page, 8);
}

static void protect(void *arg)
{
	(void)arg;
	mprotect(met.page, PAGE, PROT_NONE);
	usermem_forget();
}

static void protect_and_ask_for_another(void *arg)
{
	protect(arg);
	usermem_storable(met.page + PAGE, 8);
}

static void load_other(void *arg)
{
	(void)arg;
	usermem_loadable(met.other, 8);
}

static void check_protected(void *arg)
{
	(void)arg;
	if (step_running->taken >= step_running->at)
		cr_assert_not(usermem_storable(met.page, 8), "after %ld", step_running->at);
}

static void know_page(void *arg)
{
	prepare(arg);
	cr_assert(usermem_storable(met.page, 8));
}

static void check_other(void *arg)
{
	(void)arg;
	cr_assert_not(usermem_storable(met.other, 8), "after %ld", step_running->at);
}

static void meet_after(
	void (*before)(void *), void (*run)(void *), void (*intrude)(void *), void (*check)(void *))
{
	struct step step = {.run = run, .intrude = intrude};

	met.map = mmap(NULL, (USERMEM_REMEMBERED + 1) * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(met.map, MAP_FAILED);
	met.page = met.map;
	met.other = met.map + USERMEM_REMEMBERED * PAGE;
	cr_assert_eq(mprotect(met.other, PAGE, PROT_READ), 0);
	step_each(&step, before, check);
	munmap(met.map, (USERMEM_REMEMBERED + 1) * PAGE);
}

static void meet(void (*run)(void *), void (*intrude)(void *), void (*check)(void *))
{
	meet_after(prepare, run, intrude, check);
}

Test(core_usermem_step, a_page_protected_while_it_was_asked_about_is_bad)
{
	meet(ask_for_page, protect, check_protected);
}

Test(core_usermem_step, a_page_protected_by_a_handler_that_asks_itself_is_bad)
{
	meet(ask_for_page, protect_and_ask_for_another, check_protected);
}

Test(core_usermem_step, a_page_that_took_the_place_meanwhile_gets_no_leave)
{
	meet(load_then_store, load_other, check_other);
}

Test(core_usermem_step, a_page_protected_while_it_is_moved_aside_is_bad)
{
	meet_after(know_page, load_other, protect_and_ask_for_another, check_protected);
}
