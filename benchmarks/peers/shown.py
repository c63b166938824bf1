"""Which of our tests shows which of our cells: the one place to keep in step with the tests."""

_EVERY = "tests/mixing/test_mixers.py"
_MIXING = "tests/mixing/test_mixing.py"
_REGIONS = "tests/mixing/test_regions.py"

TESTS: dict[str, tuple[str, ...]] = {
    "soft labels": (
        f"{_EVERY}::test_dtypes_shapes_and_untouched_inputs",
        f"{_EVERY}::test_the_target_is_what_the_pixels_hold",
    ),
    "class numbers": (f"{_EVERY}::test_hard_labels_are_one_hot_encoded",),
    "[B,T,C,H,W]": (f"{_EVERY}::test_dtypes_shapes_and_untouched_inputs",),
    "[B,C,H,W]": (f"{_EVERY}::test_dtypes_shapes_and_untouched_inputs",),
    "[B,L]": (
        f"{_MIXING}::test_clips_are_mixed_by_the_plain_formula",
        f"{_EVERY}::test_sound_and_features_where_no_picture_is_needed",
    ),
    "uint8": (f"{_EVERY}::test_uint8_and_float_agree",),
    "half precision": (f"{_EVERY}::test_dtypes_shapes_and_untouched_inputs",),
    "ratio": (f"{_EVERY}::test_one_ratio_per_clip_or_one_for_the_batch",),
    "distribution": (
        f"{_MIXING}::test_ratios_follow_the_beta_distribution",
        f"{_EVERY}::test_the_share_that_is_kept_is_the_ratio_up_to_whole_pixels_or_cells",
    ),
    "partner": (f"{_MIXING}::test_all_derangements_are_equally_likely",),
    "with itself": (
        f"{_MIXING}::test_no_fixed_point_over_many_draws",
        f"{_EVERY}::test_no_video_meets_itself_even_where_it_is_repeated",
    ),
    "with its video": (f"{_EVERY}::test_no_video_meets_itself_even_where_it_is_repeated",),
    "odd batch": (f"{_EVERY}::test_even_and_odd_batches",),
    "batch of one": (
        f"{_EVERY}::test_a_batch_of_one_clip_comes_back_unmixed_and_that_is_told",
        f"{_REGIONS}::test_cutout_takes_a_batch_of_one_video",
    ),
    "whole set": (f"{_EVERY}::test_partners_from_a_whole_training_set",),
    "class-balanced": (f"{_EVERY}::test_class_balanced_partners",),
    "inputs kept": (f"{_EVERY}::test_dtypes_shapes_and_untouched_inputs",),
    "generator": (f"{_EVERY}::test_draws_come_from_the_generator_alone",),
    "replay": (f"{_EVERY}::test_a_logged_plan_can_be_replayed",),
    "no read-back": (
        f"{_EVERY}::test_apply_never_reads_from_the_device",
        f"{_EVERY}::test_apply_on_the_gpu_is_apply_on_the_cpu_and_never_synchronises",
    ),
    "normalised": (f"{_MIXING}::test_softmax_of_a_one_hot_label_is_flat",),
}
"""The tests of each column, for all of our mixers; those of tests/mixing/test_mixers.py run for each of them."""

MIXERS_TEST = f"{_EVERY}::test_the_table_holds_every_mixer"
"""What shows that each of our mixers is among those that the tests above run for."""
