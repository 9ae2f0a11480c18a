"""Names that options of training have in transformers' Trainer, in PEFT and in mlx-lm, answered with ours."""

ELSEWHERE = {
    # transformers: Seq2SeqTrainingArguments
    "max_steps": "is called `iters` here",
    "num_train_epochs": "is called `epochs` here",
    "per_device_train_batch_size": "is called `batch_size` here",
    "per_device_eval_batch_size": "is not an option here: validation chooses it",
    "gradient_accumulation_steps": "is called `grad_accumulation_steps` here",
    "gradient_checkpointing": "is called `grad_checkpoint` here",
    "optim": "is called `optimizer` here",
    "lr_scheduler_type": "is called `lr_schedule` here",
    "label_smoothing_factor": "is called `label_smoothing` here",
    "metric_for_best_model": "is called `best_by` here",
    "warmup_steps": "is called `warmup` here",
    "warmup_ratio": "is not an option here: give the number of steps as `warmup`",
    "eval_steps": "is called `steps_per_eval` here",
    "save_steps": "is called `save_every` here",
    "logging_steps": "is called `steps_per_report` here",
    "output_dir": "is not an option here: give the file of the adapter as `adapter_file`",
    "overwrite_output_dir": "is called `overwrite` here",
    "resume_from_checkpoint": "is called `resume` here",
    "fp16": "is not an option here: give `dtype` float16",
    "bf16": "is not an option here: give `dtype` bfloat16",
    # PEFT: LoraConfig
    "r": "is called `lora_rank` here",
    "target_modules": "is called `lora_targets` here",
    # mlx-lm
    "num_layers": "is called `lora_layers` here",
    "lora_parameters": "is not a group here: write `lora_rank`, `lora_scale`, `lora_dropout` and `lora_targets`",
    "adapter_path": "is called `adapter_file` here",
    "val_batches": "is not an option here: give the number of clips as `val_clips`",
}
