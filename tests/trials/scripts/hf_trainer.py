"""A tiny transformer by Hugging Face's Trainer, reporting to MLflow."""

import argparse

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()

set_seed(0)
config = BertConfig(
    vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=2
)
tokens = torch.randint(0, 16, (64, 6))
examples = [{"input_ids": row, "labels": int(row[0] > 7)} for row in tokens]
trainer = Trainer(
    model=BertForSequenceClassification(config),
    args=TrainingArguments(
        output_dir="checkpoints",
        learning_rate=args.lr,
        num_train_epochs=2,
        per_device_train_batch_size=16,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=2,
        disable_tqdm=True,
        use_cpu=True,
        report_to="mlflow",
    ),
    train_dataset=examples,
    eval_dataset=examples,
)
trainer.train()
print(f"eval_loss={trainer.evaluate()['eval_loss']!r}")
