"""Not a line about runs or metrics: scikit-learn's autologging does it all."""

import argparse

import mlflow
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()

mlflow.sklearn.autolog(log_models=False)
x, y = load_digits(return_X_y=True)
x_train, x_val, y_train, y_val = train_test_split(x / 16, y, random_state=0)
model = SGDClassifier(learning_rate="constant", eta0=args.lr, max_iter=5, tol=None, random_state=0)
model.fit(x_train, y_train)
accuracy = model.score(x_val, y_val)
print(f"SGDClassifier_score_x_val={accuracy!r}")
