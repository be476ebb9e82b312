#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>

#include "core/text.h"
#include "testkit.h"

TestSuite(core_text, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static void check(const struct text *text, const char *expected)
{
	cr_expect_str_eq(text->start, expected);
	cr_expect_eq(text->used, strlen(expected));
}

Test(core_text, it_starts_empty)
{
	char space[4] = "xyz";
	struct text text = text_in(space, sizeof(space));

	check(&text, "");
}

Test(core_text, strings_and_numbers_follow_each_other)
{
	char space[64];
	struct text text = text_in(space, sizeof(space));

	text_string(&text, "slot ");
	text_number(&text, 42, 10);
	text_string(&text, "");
	text_string(&text, ", tag ");
	text_number(&text, 0xbeef, 16);
	check(&text, "slot 42, tag beef");
}

Test(core_text, numbers_of_every_length)
{
	static const struct {
		uint64_t number;
		unsigned base;
		const char *expected;
	} cases[] = {
		{0, 10, "0"},
		{0, 16, "0"},
		{9, 10, "9"},
		{10, 10, "10"},
		{15, 16, "f"},
		{16, 16, "10"},
		{UINT64_MAX, 10, "18446744073709551615"},
		{UINT64_MAX, 16, "ffffffffffffffff"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char space[32];
		struct text text = text_in(space, sizeof(space));

		text_number(&text, cases[i].number, cases[i].base);
		check(&text, cases[i].expected);
	}
}

Test(core_text, what_does_not_fit_is_cut_off)
{
	char space[8] = {0};
	struct text text;

	space[6] = '#';
	text = text_in(space, 6);
	text_string(&text, "abc");
	text_number(&text, 12345, 10);
	check(&text, "abc12");
	text_string(&text, "more");
	check(&text, "abc12");
	cr_expect_eq(space[6], '#', "nothing beyond the space is touched");
}

Test(core_text, room_for_the_end_alone_holds_nothing)
{
	char space[2] = "ab";
	struct text text = text_in(space, 1);

	text_string(&text, "x");
	text_number(&text, 7, 10);
	check(&text, "");
	cr_expect_eq(space[1], 'b');
}

Test(core_text, a_text_is_cut_to_a_length)
{
	char space[16];
	struct text text = text_in(space, sizeof(space));

	text_string(&text, "abcdef");
	text_cut(&text, 10);
	check(&text, "abcdef");
	text_cut(&text, 3);
	check(&text, "abc");
	text_cut(&text, 0);
	check(&text, "");
}

Test(core_text, a_number_is_read_and_passed)
{
	static const struct {
		const char *string;
		int number;
		const char *rest;
	} cases[] = {
		{"0", 0, ""},
		{"17", 17, ""},
		{"17.4", 17, ".4"},
		{"007x", 7, "x"},
		{"2147483647/", INT_MAX, "/"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *at = cases[i].string;

		cr_expect_eq(text_parse_int(&at), cases[i].number, "%s", cases[i].string);
		cr_expect_str_eq(at, cases[i].rest);
	}
}

Test(core_text, what_is_no_int_is_refused_and_not_passed)
{
	static const char *const strings[] = {"", "x", "-1", "+1", " 1", ".1", "2147483648",
		"99999999999999999999999999999999999999", "18446744073709551617"};

	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++) {
		const char *at = strings[i];

		cr_expect_eq(text_parse_int(&at), -1, "%s", strings[i]);
		cr_expect_eq(at, strings[i]);
	}
}
