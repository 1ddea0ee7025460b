"""Deep Q-learning, whatever is played: acting, remembering, learning and evaluating."""
