/* The pickle machine: what it reads, and that it refuses everything else with a reason. */
#include "harness/pickle.h"
#include "harness/quote.h"

#include <string.h>

#include "tests/make_pth.h"
#include "tests/test_main.h"

/* Pieces of pickles, by hand, so that each can be spoilt. Octal escapes end after three digits. */
#define PROTO "\200\002"
#define ORDERED "ccollections\nOrderedDict\n)R"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define FLOATS "ctorch\nFloatStorage\n"
#define NAME_A "X\001\000\000\000a"
#define KEY_0 "X\001\000\000\0000"
#define CPU "X\003\000\000\000cpu"
#define STORAGE_TEXT "X\007\000\000\000storage"
#define STORAGE "(" STORAGE_TEXT FLOATS KEY_0 CPU "K\006tQ" /* 6 elements */
#define FALSE "\211"
#define SHAPE_2_3 "K\002K\003\206"
#define STRIDE_3_1 "K\003K\001\206"
#define TENSOR REBUILD "(" STORAGE "K\000" SHAPE_2_3 STRIDE_3_1 FALSE ORDERED "tR"
#define WITH_ARGS(args) PROTO "}" NAME_A REBUILD "(" args "tRs."
#define WITH_ID(id) WITH_ARGS(id "K\000" SHAPE_2_3 STRIDE_3_1 FALSE ORDERED)
#define WITH_PLACE(offset, shape, stride) WITH_ARGS(STORAGE offset shape stride FALSE ORDERED)
#define MAX_LONG "\212\010\377\377\377\377\377\377\377\177"

static mv_code read_bytes(mv_pickle *pickle, const char *bytes, size_t size, mv_error *error)
{
    /* A block of its own, so that the sanitizer sees a read beyond the end. */
    char *exact = malloc(size > 0 ? size : 1);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, bytes, size);
    mv_code code = mv_pickle_read(pickle, exact, size, "x.pth", error);
    free(exact);
    return code;
}

#define READ(pickle, literal, error) read_bytes(pickle, literal, sizeof(literal) - 1, error)

static void expect_refusal(const char *bytes, size_t size, const char *fragment, mv_code expected)
{
    mv_pickle pickle = {0};
    mv_error error = {0};
    mv_code code = read_bytes(&pickle, bytes, size, &error);
    ck_assert_msg(code == expected, "expected code %d for \"%s\", found %d: %s", expected, fragment,
                  code, error.message);
    ck_assert_int_eq((int)error.code, (int)code);
    ck_assert_msg(strstr(error.message, fragment) != NULL, "expected \"%s\", found \"%s\"",
                  fragment, error.message);
    ck_assert_msg(strncmp(error.message, "x.pth: data.pkl", 15) == 0, "no place: %s",
                  error.message);
    ck_assert_ptr_null(pickle.tensors);
    ck_assert_ptr_null(pickle.arena);
}

START_TEST(reads_a_plain_dict_of_one_tensor)
{
    mv_pickle pickle;
    mv_error error = {0};
    mv_code code = READ(&pickle, PROTO "}" NAME_A TENSOR "s.", &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert_uint_eq(pickle.n_tensors, 1);
    const mv_pickle_tensor *tensor = pickle.tensors;
    ck_assert_str_eq(tensor->name, "a");
    ck_assert_str_eq(tensor->storage_key, "0");
    ck_assert_uint_eq(tensor->storage_numel, 6);
    ck_assert_uint_eq(tensor->storage_offset, 0);
    ck_assert_uint_eq(tensor->n_dims, 2);
    ck_assert_uint_eq(tensor->shape[0], 2);
    ck_assert_uint_eq(tensor->shape[1], 3);
    ck_assert_uint_eq(tensor->stride[0], 3);
    ck_assert_uint_eq(tensor->stride[1], 1);
    ck_assert_int_eq((int)tensor->dtype, (int)MV_DTYPE_F32);
    mv_pickle_free(&pickle);
    mv_pickle_free(&pickle);
}
END_TEST

START_TEST(sorts_names_and_maps_each_storage_class_to_its_dtype)
{
    const make_pth_tensor tensors[] = {
        {.name = "b",
         .storage = "Half",
         .key = "0",
         .numel = 9,
         .offset = 2,
         .n_dims = 1,
         .shape = {3},
         .stride = {2}},
        {.name = "c",
         .storage = "BFloat16",
         .key = "1",
         .numel = 300,
         .offset = 0,
         .n_dims = 2,
         .shape = {1, 300},
         .stride = {300, 1}},
        {.name = "a",
         .storage = "Float",
         .key = "2",
         .numel = 1,
         .offset = 0,
         .n_dims = 1,
         .shape = {1},
         .stride = {1}},
    };
    mv_pickle pickle;
    mv_error error = {0};
    make_pth_bytes bytes = {0};
    make_pth_state_dict(&bytes, tensors, 3);
    mv_code code = mv_pickle_read(&pickle, bytes.data, bytes.size, "x.pth", &error);
    free(bytes.data); /* nothing points into the input */
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert_uint_eq(pickle.n_tensors, 3);
    static const mv_dtype dtypes[] = {MV_DTYPE_F32, MV_DTYPE_F16, MV_DTYPE_BF16};
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(pickle.tensors[i].name, names[i]);
        ck_assert_int_eq((int)pickle.tensors[i].dtype, (int)dtypes[i]);
    }
    ck_assert_uint_eq(pickle.tensors[1].storage_offset, 2);
    ck_assert_uint_eq(pickle.tensors[1].n_dims, 1);
    ck_assert_uint_eq(pickle.tensors[1].shape[1], 1);
    ck_assert_uint_eq(pickle.tensors[2].shape[1], 300); /* LONG1 */
    mv_pickle_free(&pickle);
}
END_TEST

/* As nn.Module.state_dict() pickles, with more kinds of values in the metadata than it has. */
START_TEST(follows_the_memo_and_drops_metadata)
{
    static const char bytes[] = PROTO
        "ccollections\nOrderedDict\nq\000)R(" NAME_A "q\001" REBUILD "r\002\000\000\000(" STORAGE
        "q\003K\000" SHAPE_2_3 "q\004" STRIDE_3_1 FALSE "h\000)RtR"
        "X\001\000\000\000b"
        "j\002\000\000\000(h\003K\000h\004" STRIDE_3_1 "\210h\000)RtRu"
        "}X\011\000\000\000_metadata"
        "h\000)R("
        "X\000\000\000\000}X\007\000\000\000versionK\001s"
        "h\001]K\001a(M\000\001J\377\377\377\377e"
        "K\007N"
        "X\001\000\000\000dG\077\360\000\000\000\000\000\000"
        "X\001\000\000\000eK\001\205"
        "usb.";
    mv_pickle pickle;
    mv_error error = {0};
    mv_code code = READ(&pickle, bytes, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert_uint_eq(pickle.n_tensors, 2);
    ck_assert_str_eq(pickle.tensors[1].name, "b");
    ck_assert_str_eq(pickle.tensors[1].storage_key, "0");
    ck_assert_uint_eq(pickle.tensors[1].shape[0], 2);
    mv_pickle_free(&pickle);
}
END_TEST

START_TEST(accepts_the_last_element_of_a_storage)
{
    mv_pickle pickle;
    mv_error error = {0};
    /* 1 + 1 * 3 + 1 * 1 = 5 of 0 ... 5 */
    mv_code code = READ(&pickle, WITH_PLACE("K\001", "K\002K\002\206", STRIDE_3_1), &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    mv_pickle_free(&pickle);
    code = READ(&pickle, WITH_PLACE("K\002", "K\002K\002\206", STRIDE_3_1), &error);
    ck_assert_int_eq((int)code, (int)MV_ERR_FORMAT);
}
END_TEST

typedef struct refusal {
    const char *bytes;
    size_t size;
    const char *fragment;
    mv_code code;
} refusal;

#define REFUSED(bytes, fragment, code)                                                             \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, fragment, code                                                   \
    }
#define BAD(bytes, fragment) REFUSED(bytes, fragment, MV_ERR_FORMAT)
#define OTHER(bytes, fragment) REFUSED(bytes, fragment, MV_ERR_UNSUPPORTED)

static const refusal refusals[] = {
    /* the frame */
    BAD("", "has 0 bytes, expected 1 to"),
    OTHER("}.", "byte 0: does not start with PROTO (0x80) but with 0x7d"),
    OTHER("(dp0\n.", "byte 0: does not start with PROTO"),
    OTHER("\200\001}.", "pickle protocol 1, expected 2 or 3"),
    OTHER("\200\004}.", "pickle protocol 4, expected 2 or 3"),
    BAD("\200", "truncated: needs 1 bytes at byte 1"),
    BAD(PROTO, "byte 2: truncated: ends without STOP"),
    BAD(PROTO PROTO, "byte 2: a second PROTO"),
    BAD(PROTO "}", "byte 3: truncated: ends without STOP"),
    BAD(PROTO "}" NAME_A TENSOR "s.}", "STOP is followed by 1 bytes"),
    BAD(PROTO ".", "STOP with 0 values and 0 MARKs"),
    BAD(PROTO "}}.", "STOP with 2 values"),
    BAD(PROTO "}(.", "1 MARKs"),

    /* code that Python would run */
    BAD(PROTO "cos\nsystem\nX\002\000\000\000id\205R.",
        "byte 2: asks for \"system\" of module \"os\""),
    BAD(PROTO "}" NAME_A "cbuiltins\neval\n", "byte 9: asks for \"eval\" of module \"builtins\""),
    BAD(PROTO "ctorch\n_utils._rebuild_tensor_v2\n", "of module \"torch\": refused"),
    BAD(PROTO "ctorch._utils\n_rebuild_tensor\n", "refused"),
    BAD(PROTO "cevil\nOrderedDict\n", "asks for \"OrderedDict\" of module \"evil\""),
    BAD(PROTO "cevil\nFloatStorage\n", "asks for \"FloatStorage\" of module \"evil\""),
    BAD(PROTO "ccollections\nOrderedDict.fromkeys\n", "refused"),
    BAD(PROTO "c\033[2J\n\"\\\n", "asks for \"\\x22\\x5c\" of module \"\\x1b[2J\""),
    BAD(PROTO "cos\nsystem", "a name has no end"),
    BAD(PROTO "cos", "a name has no end"),
    BAD(PROTO "ccollections\nOrderedDict\000\n", "a name contains a NUL"),
    BAD(PROTO "(ios\nsystem\n", "byte 3: opcode 0x69 is not one"), /* INST */
    BAD(PROTO ")\201", "byte 3: opcode 0x81 is not one"),          /* NEWOBJ */
    BAD(PROTO "\222", "opcode 0x92"),                              /* NEWOBJ_EX */
    BAD(PROTO "\223", "opcode 0x93"),                              /* STACK_GLOBAL */
    BAD(PROTO "\202\001", "opcode 0x82"),                          /* EXT1 */
    BAD(PROTO "(o", "opcode 0x6f"),                                /* OBJ */
    BAD(PROTO "P0\n", "opcode 0x50"),                              /* PERSID */
    BAD(PROTO "S'a'\n", "opcode 0x53"),                            /* STRING */
    BAD(PROTO "\000", "opcode 0x00"),
    BAD(PROTO "\377", "opcode 0xff"),

    /* the stack */
    BAD(PROTO "s", "needs 3 values on the stack, found 0"),
    BAD(PROTO "}(" NAME_A "Ns", "found 2"), /* the dict is behind the MARK */
    BAD(PROTO "u", "no MARK"),
    BAD(PROTO "t", "no MARK"),
    BAD(PROTO "(u", "needs 1 values on the stack, found 0"),
    BAD(PROTO "(e", "needs 1 values"),
    BAD(PROTO "((NNu", "needs 1 values on the stack, found 0"),
    BAD(PROTO "}(" NAME_A "u", "a key without a value"),
    BAD(PROTO "]" NAME_A "Ns", "sets an item of a list"),
    BAD(PROTO "}}Ns", "a dict as a key"),
    BAD(PROTO "}Na", "appends to a dict"),
    BAD(PROTO "N\206", "needs 2 values"),
    BAD(PROTO "q\000", "needs 1 values"),
    BAD(PROTO "(N(q\000", "found 0"),
    BAD(PROTO "h\000", "memo index 0 was never put"),
    BAD(PROTO "}q\000h\001", "memo index 1 was never put"),
    BAD(PROTO "j\377\377\377\377", "memo index 4294967295 was never put"),
    BAD(PROTO "Nr\377\377\377\377", "memo index 4294967295, expected less than"),
    BAD(PROTO "Q", "needs 1 values"),
    BAD(PROTO "NR", "needs 2 values"),
    BAD(PROTO "Nb", "needs 2 values"),

    /* numbers and texts */
    BAD(PROTO "J\001\002\003", "truncated: needs 4 bytes at byte 3, the pickle ends at 6"),
    BAD(PROTO "\212\011123456789", "an integer of 9 bytes"),
    BAD(PROTO "\212\003\001\002", "truncated: needs 3 bytes"),
    BAD(PROTO "\212", "truncated: needs 1 bytes at byte 3"),
    BAD(PROTO "G1234567", "truncated: needs 8 bytes"),
    BAD(PROTO "X\001\000", "truncated: needs 4 bytes"),
    BAD(PROTO "Nq", "truncated: needs 1 bytes at byte 4"),
    BAD(PROTO "h", "truncated: needs 1 bytes at byte 3"),
    BAD(PROTO "X\005\000\000\000abcd", "truncated: needs 5 bytes"),
    BAD(PROTO "X\377\377\377\377abcd", "a text of 4294967295 bytes, expected at most 1024"),
    BAD(PROTO "X\003\000\000\000a\000b", "a text is not UTF-8 without NUL: \"a\\x00b\""),
    BAD(PROTO "X\002\000\000\000\300\200", "a text is not UTF-8"),     /* overlong NUL */
    BAD(PROTO "X\003\000\000\000\355\240\200", "a text is not UTF-8"), /* surrogate */
    BAD(PROTO "X\001\000\000\000\303", "a text is not UTF-8"),

    /* persistent ids */
    BAD(WITH_ID("NQ"), "a persistent id is not"),
    BAD(WITH_ID("(" STORAGE_TEXT FLOATS KEY_0 CPU "tQ"), "a persistent id is not"),
    BAD(WITH_ID("(" STORAGE_TEXT FLOATS KEY_0 CPU "K\006NtQ"), "a persistent id is not"),
    BAD(WITH_ID("(" KEY_0 FLOATS KEY_0 CPU "K\006tQ"), "expected (\"storage\""),
    BAD(WITH_ID("(" STORAGE_TEXT REBUILD KEY_0 CPU "K\006tQ"), "expected (\"storage\""),
    BAD(WITH_ID("(" STORAGE_TEXT FLOATS "K\000" CPU "K\006tQ"), "an integer, a text, an integer)"),
    BAD(WITH_ID("(" STORAGE_TEXT FLOATS "X\000\000\000\000" CPU "K\006tQ"),
        "expected (\"storage\""),
    BAD(WITH_ID("(" STORAGE_TEXT FLOATS KEY_0 "NK\006tQ"), "None, an integer)"),
    BAD(WITH_ID("(" STORAGE_TEXT FLOATS KEY_0 CPU "J\377\377\377\377tQ"), "numel >= 0"),
    OTHER(PROTO "ctorch\nLongStorage\n", "torch's \"LongStorage\", expected BFloat16Storage"),
    BAD(PROTO "ctorch\nStorage\n", "asks for \"Storage\" of module \"torch\""),

    /* calls */
    BAD(PROTO "N)R", "calls None with a tuple"),
    BAD(PROTO FLOATS ")R", "calls a class with a tuple"),
    BAD(PROTO REBUILD "NR", "calls a class with None"),
    BAD(PROTO REBUILD ")R", "_rebuild_tensor_v2 with 0 arguments, expected 6"),
    BAD(WITH_ARGS(STORAGE "K\000" SHAPE_2_3 STRIDE_3_1 FALSE ORDERED "}"), "with 7 arguments"),
    BAD(PROTO "ccollections\nOrderedDict\n]\205R", "OrderedDict with 1 arguments"),
    BAD(WITH_ARGS("NK\000" SHAPE_2_3 STRIDE_3_1 FALSE ORDERED), "_rebuild_tensor_v2(None, "),
    BAD(WITH_ARGS(STORAGE "N" SHAPE_2_3 STRIDE_3_1 FALSE ORDERED), "(a storage, None, "),
    BAD(WITH_ARGS(STORAGE "J\377\377\377\377" SHAPE_2_3 STRIDE_3_1 FALSE ORDERED), "offset >= 0"),
    BAD(WITH_ARGS(STORAGE "K\000K\006" STRIDE_3_1 FALSE ORDERED),
        "an integer, an integer, a tuple"),
    BAD(WITH_ARGS(STORAGE "K\000" SHAPE_2_3 STRIDE_3_1 "N" ORDERED), "requires_grad, hooks)"),
    BAD(WITH_ARGS(STORAGE "K\000" SHAPE_2_3 STRIDE_3_1 FALSE "N"), "requires_grad, hooks)"),
    BAD(WITH_ARGS(STORAGE "K\000" SHAPE_2_3 STRIDE_3_1 FALSE ORDERED "K\000Ns"), "backward hooks"),
    BAD(WITH_PLACE("K\000", "K\002N\206", STRIDE_3_1), "holds other than integers >= 0"),
    BAD(WITH_PLACE("K\000", "K\002\210\206", STRIDE_3_1), "holds other than integers >= 0"),
    BAD(WITH_PLACE("K\000", SHAPE_2_3, "K\001J\377\377\377\377\206"), "other than integers >= 0"),
    BAD(WITH_PLACE("K\000", SHAPE_2_3, "K\001\205"), "a shape of 2 dimensions has 1 strides"),

    /* where a tensor lies */
    BAD(WITH_PLACE("K\001", SHAPE_2_3, STRIDE_3_1), "tensor \"a\": offset 1, shape [2, 3]"),
    BAD(WITH_PLACE("K\000", SHAPE_2_3, "K\004K\001\206"), "beyond its storage of 6 elements"),
    BAD(WITH_PLACE(MAX_LONG, "K\001K\001\206", STRIDE_3_1), "beyond its storage"),
    BAD(WITH_PLACE("K\001", "K\002K\003\206", MAX_LONG "K\001\206"), "beyond its storage"),
    BAD(WITH_PLACE("K\002", "K\002K\003\206", MAX_LONG MAX_LONG "\206"), "beyond its storage"),
    BAD(WITH_PLACE("K\000", MAX_LONG MAX_LONG "\206", STRIDE_3_1), "does not fit in 64 bits"),
    BAD(WITH_PLACE("K\000", MAX_LONG "K\001\206", "K\000K\000\206"), "does not fit in 64 bits"),
    BAD(WITH_PLACE("K\000", "K\000K\003\206", STRIDE_3_1), "tensor \"a\": it has no elements"),
    BAD(WITH_PLACE("K\000", "K\000\205", "K\001\205"), "it has no elements"),
    OTHER(WITH_PLACE("K\000", "K\144K\144\206", "K\000K\000\206"), "an expanded view, 10000"),
    OTHER(WITH_PLACE("K\000", ")", ")"), "tensor \"a\" has 0 dimensions, expected 1 or 2"),
    OTHER(WITH_PLACE("K\000", "K\001K\001K\001\207", "K\001K\001K\001\207"), "has 3 dimensions"),

    /* not a flat dict of tensors */
    OTHER(PROTO "].", "holds a list, expected a dict of named tensors"),
    OTHER(PROTO TENSOR ".", "holds a tensor, expected a dict"),
    BAD(PROTO "}.", "the dict is empty"),
    BAD(PROTO ORDERED ".", "the dict is empty"),
    OTHER(PROTO "}X\005\000\000\000model}" NAME_A TENSOR "ss.", "key \"model\" holds a dict"),
    OTHER(PROTO "}q\000" NAME_A "h\000s.", "key \"a\" holds a dict"), /* it holds itself */
    OTHER(PROTO "}X\004\000\000\000stepK\003s.", "key \"step\" holds an integer"),
    OTHER(PROTO "}" NAME_A "Ns.", "key \"a\" holds None"),
    OTHER(PROTO "}" NAME_A NAME_A "s.", "key \"a\" holds a text"),
    OTHER(PROTO "}" NAME_A STORAGE "s.", "key \"a\" holds a storage"),
    OTHER(PROTO "}K\005" TENSOR "s.", "the dict has an integer (5) as a key"),
    BAD(PROTO "}X\000\000\000\000" TENSOR "s.", "a tensor has no name"),
    BAD(PROTO "}" NAME_A TENSOR "s" NAME_A TENSOR "s.", "two tensors are named \"a\""),

    /* attributes */
    BAD(PROTO "}}b", "gives a dict attributes from a dict"),
    BAD(PROTO ORDERED "Nb", "gives a dict attributes from None"),
    BAD(PROTO TENSOR "}b", "gives a tensor attributes"),
    BAD(PROTO ORDERED "}" NAME_A "Nsb", "gives the dict an attribute \"a\", expected only"),
    BAD(PROTO ORDERED "}K\001Nsb", "an integer as an attribute's name"),
};

START_TEST(refuses_what_a_state_dict_does_not_need)
{
    const refusal *row = &refusals[_i];
    expect_refusal(row->bytes, row->size, row->fragment, row->code);
}
END_TEST

/* Whatever the point, it is an error with a message, and no read beyond the end (ASan). */
START_TEST(refuses_a_pickle_cut_anywhere)
{
    static const char bytes[] = PROTO ORDERED "(" NAME_A TENSOR "u.";
    for (size_t size = 1; size < sizeof bytes - 1; size++)
        expect_refusal(bytes, size, "byte", MV_ERR_FORMAT);
}
END_TEST

/* head, then n times what, then tail. */
static void expect_limit(const char *head, const char *what, size_t n, const char *tail,
                         const char *fragment)
{
    make_pth_bytes bytes = {0};
    make_pth_ops(&bytes, PROTO);
    make_pth_ops(&bytes, head);
    for (size_t i = 0; i < n; i++)
        make_pth_ops(&bytes, what);
    make_pth_ops(&bytes, tail);
    expect_refusal((const char *)bytes.data, bytes.size, fragment, MV_ERR_FORMAT);
    free(bytes.data);
}

START_TEST(bounds_what_a_pickle_may_take)
{
    expect_limit("", "N", MV_PICKLE_MAX_STACK, ".", "STOP with 65536 values");
    expect_limit("", "N", MV_PICKLE_MAX_STACK + 1, ".", "more than 65536 values on the stack");
    expect_limit("", "(", MV_PICKLE_MAX_MARKS, ".", "32 MARKs on the stack");
    expect_limit("", "(", MV_PICKLE_MAX_MARKS + 1, ".", "more than 32 open MARKs");
    expect_limit("}", "K\001Ns", MV_PICKLE_MAX_ENTRIES + 1, ".", "more than 65536 entries");
    expect_limit("", "N", MV_PICKLE_MAX_SIZE - 2, ".", "expected 1 to 1048576");
    expect_limit("N", "r\001\002\003\004", 1, ".", "memo index 67305985, expected less than 9");
}
END_TEST

START_TEST(reads_a_text_of_the_greatest_length_only)
{
    char text[MV_PICKLE_MAX_TEXT + 2];
    for (size_t n = MV_PICKLE_MAX_TEXT; n <= MV_PICKLE_MAX_TEXT + 1; n++) {
        mv_pickle pickle;
        mv_error error = {0};
        memset(text, 'x', n);
        text[n] = '\0';
        make_pth_tensor tensor = {.name = text,
                                  .storage = "Float",
                                  .key = "0",
                                  .numel = 1,
                                  .n_dims = 1,
                                  .shape = {1},
                                  .stride = {1}};
        make_pth_bytes bytes = {0};
        make_pth_state_dict(&bytes, &tensor, 1);
        mv_code code = mv_pickle_read(&pickle, bytes.data, bytes.size, "x.pth", &error);
        free(bytes.data);
        if (n == MV_PICKLE_MAX_TEXT) {
            ck_assert_msg(code == MV_OK, "%s", error.message);
            ck_assert_uint_eq(strlen(pickle.tensors[0].name), n);
            mv_pickle_free(&pickle);
        } else {
            ck_assert_int_eq((int)code, (int)MV_ERR_FORMAT);
            ck_assert_ptr_nonnull(strstr(error.message, "expected at most 1024"));
        }
    }
}
END_TEST

START_TEST(quotes_a_strangers_text_in_one_printable_line)
{
    char text[300];
    ck_assert_str_eq(mv_quote("a b", 3).text, "\"a b\"");
    ck_assert_str_eq(mv_quote("", 0).text, "\"\"");
    ck_assert_str_eq(mv_plain("say \"a\\b\"\n").text, "say \"a\\b\"\\x0a");
    ck_assert_str_eq(mv_plain("").text, "");
    ck_assert_str_eq(mv_quote("\n\"\\\177\303", 5).text, "\"\\x0a\\x22\\x5c\\x7f\\xc3\"");
    for (size_t n = 0; n <= sizeof text; n++) {
        for (int c = 'y'; c >= 1; c -= 'y' - 1) { /* plain, then escaped */
            memset(text, c, n);
            mv_quoted quoted = mv_quote(text, n);
            size_t length = strlen(quoted.text);
            ck_assert_uint_lt(length, sizeof quoted.text);
            ck_assert_int_eq(quoted.text[length - 1], '"');
            bool cut = strstr(quoted.text, "...\"") != NULL;
            ck_assert_int_eq(cut, n > (c == 'y' ? 90 : 90 / 4));
        }
    }
}
END_TEST

static Suite *pickle_suite(void)
{
    Suite *suite = suite_create("pickle");
    TCase *reads = tcase_create("reads");
    tcase_add_test(reads, reads_a_plain_dict_of_one_tensor);
    tcase_add_test(reads, sorts_names_and_maps_each_storage_class_to_its_dtype);
    tcase_add_test(reads, follows_the_memo_and_drops_metadata);
    tcase_add_test(reads, accepts_the_last_element_of_a_storage);
    tcase_add_test(reads, reads_a_text_of_the_greatest_length_only);
    suite_add_tcase(suite, reads);
    TCase *refuses = tcase_create("refuses");
    tcase_add_loop_test(refuses, refuses_what_a_state_dict_does_not_need, 0,
                        (int)(sizeof refusals / sizeof refusals[0]));
    tcase_add_test(refuses, refuses_a_pickle_cut_anywhere);
    tcase_add_test(refuses, bounds_what_a_pickle_may_take);
    tcase_add_test(refuses, quotes_a_strangers_text_in_one_printable_line);
    suite_add_tcase(suite, refuses);
    return suite;
}

MV_TEST_MAIN(pickle_suite)
